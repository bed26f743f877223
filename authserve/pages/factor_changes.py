"""The parts that pages share which change an account's factors."""

from collections.abc import Sequence
from enum import StrEnum

from flask import Response
from marshmallow import Schema

from authserve.auth.browser_sessions import BrowserCookie, BrowserSession
from authserve.core.clock import now
from authserve.mfa.assurance import Factors, is_mfa_required
from authserve.mfa.errors import (
    FactorUnavailableError,
    MfaOffError,
    MfaRequiredByPolicyError,
)
from authserve.mfa.switch import level_for_change_by
from authserve.pages.account_navigation import account_page
from authserve.pages.blueprint import redirect_with_notice
from authserve.pages.sign_in import WAIT
from authserve.ratelimit.errors import RateLimitedError, TooManyAttemptsError
from authserve.settings.model import SETTINGS
from authserve.web.access import (
    read_signed_in_form,
    require_fresh,
    require_no_fault,
    require_signed_in,
)
from authserve.web.browser_session import renew_session
from authserve.web.forms import Explanation, Explanations, SignedInForm, Submission
from authserve.web.languages import mark

LIST = "pages.show_methods"
"""The page of all sign-in methods."""

NOTICE_KIND = "sign-in-methods"

BUTTON = SignedInForm()

EXPLANATIONS: Explanations = {
    MfaOffError: Explanation(mark("New second factors are switched off here.")),
    MfaRequiredByPolicyError: Explanation(
        mark("This service requires a second factor. Add another one first.")
    ),
    FactorUnavailableError: Explanation(
        mark("Codes cannot be checked right now. Try again later.")
    ),
    TooManyAttemptsError: Explanation(WAIT),
    RateLimitedError: Explanation(WAIT),
}
"""Refusals of every change of factors."""


def require_session_for_change() -> BrowserSession:
    """Return the session of the browser if its user gave a recent proof of the level for a change.

    Otherwise redirect the person to the page of proofs, and back.
    """
    session = require_signed_in()
    require_fresh(session, level=level_for_change_by(session.actor))
    return session


def read_change(schema: Schema, *, back_to: str | None = None) -> tuple[BrowserSession, Submission]:
    """Return session and form of a change; the form must have the session's token.

    Args:
        schema: see `web.access.read_signed_in_form`.
        back_to: see `web.access.require_signed_in`.
    """
    session = require_signed_in(back_to=back_to)
    submission = read_signed_in_form(schema, session)
    require_fresh(session, level=level_for_change_by(session.actor), back_to=back_to)
    return session, submission


def read_pressed_change(
    schema: Schema = BUTTON, *, back_to: str | None = None
) -> tuple[BrowserSession, Submission]:
    """Return session and form of a change that is a button alone; see `read_change`.

    Args:
        schema: of its hidden fields, if it has any.
        back_to: see `web.access.require_signed_in`.

    Raises:
        ValidationFailedError: see `web.access.require_no_fault`.
    """
    session, submission = read_change(schema, back_to=back_to)
    require_no_fault(submission)
    return session, submission


def redirect_to_methods(done: str) -> Response:
    """Return the redirect after a change, to the page that says what was done.

    Args:
        done: one of the notices in `account_methods.html`.
    """
    return redirect_with_notice(LIST, notice=NOTICE_KIND, done=done)


def show_added(
    session: BrowserSession,
    done: str,
    *,
    codes: Sequence[str] | None,
    cookie: BrowserCookie | None = None,
) -> Response:
    """Return the answer after a new factor: new recovery codes if there are any, shown this once.

    Args:
        session: of the browser.
        done: see `redirect_to_methods`.
        codes: the new recovery codes, if any.
        cookie: the session's new one, if any.
    """
    response = redirect_to_methods(done) if codes is None else show_codes(session, codes)
    renew_session(response, session, cookie)
    return response


def show_codes(
    session: BrowserSession, codes: Sequence[str], *, has_replaced: bool = False
) -> Response:
    """Return the page with new recovery codes, which are shown this once.

    Args:
        session: of the browser.
        codes: the new ones.
        has_replaced: True if older codes have stopped working.
    """
    return account_page(
        "account_codes_shown.html",
        visitor=session,
        below=LIST,
        codes=codes,
        has_replaced=has_replaced,
    )


class Consequence(StrEnum):
    """The consequences of a factor's removal, besides that all other sessions end."""

    NONE = "none"
    OFF = "off"
    """The second factor goes off, and the recovery codes stop working."""
    NO_CODES = "no-codes"
    """The second factor is off already; the recovery codes stop working."""
    REFUSED = "refused"
    """The operator requires a second factor, and this is the last usable one."""


def find_consequence(left: Factors, *, mfa_enabled: bool) -> Consequence:
    """Return the consequence of a removal, as `mfa.switch.on_factor_removed` will decide.

    Args:
        left: the account's factors after it.
        mfa_enabled: the account's switch.
    """
    if left.has_usable:
        return Consequence.NONE
    if is_mfa_required(SETTINGS.get(), now()):
        return Consequence.REFUSED
    return Consequence.OFF if mfa_enabled else Consequence.NO_CODES
