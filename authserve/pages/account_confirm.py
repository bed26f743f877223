"""The step-up: a signed-in person gives a proof again, before what can change access."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from flask import Response, request
from marshmallow import fields

from authserve.auth.browser_sessions import BrowserSession
from authserve.auth.reauthenticate import find_ways_to_reauthenticate, reauthenticate_browser
from authserve.auth.schemas import ReauthenticateSchema
from authserve.core.levels import Level
from authserve.http.authentication import on_own_account
from authserve.http.limits import limited
from authserve.http.request_info import current_request_info
from authserve.mfa.assurance import SecondStep
from authserve.mfa.errors import (
    CodeReusedError,
    FactorUnavailableError,
    InvalidCodeError,
    MfaRequiredError,
)
from authserve.mfa.schemas import find_given_proof
from authserve.mfa.totp import CODE_PATTERN
from authserve.pages.blueprint import blueprint, go_on, page
from authserve.pages.factor_fields import TypedCode
from authserve.pages.sign_in import WAIT
from authserve.pages.sign_up import BUSY
from authserve.passwords.queue import HasherBusyError
from authserve.ratelimit.errors import RateLimitedError, TooManyAttemptsError
from authserve.ratelimit.policy import PASSWORDS, REAUTHENTICATE
from authserve.users.errors import UserNotFoundError, WrongPasswordError
from authserve.web.access import (
    LEVEL_FIELD,
    find_asked_level,
    find_bound,
    lead_to_sign_in,
    read_signed_in_form,
)
from authserve.web.browser_session import find_visitor, renew_session
from authserve.web.continuation import FIELD, read_continuation
from authserve.web.forms import Explanation, SignedInForm, Submission, submit
from authserve.web.languages import mark


class ConfirmForm(SignedInForm, ReauthenticateSchema):
    """The API's data to reauthenticate."""

    totp_code = TypedCode(CODE_PATTERN, data_key="code")
    username = fields.String()
    """The account, for password managers; nothing reads it."""


FORM = ConfirmForm()

WRONG_CODE = mark("That code is not right. Codes change every 30 seconds: wait for the next one.")

EXPLANATIONS = {
    WrongPasswordError: Explanation(mark("The password is wrong."), at="password"),
    MfaRequiredError: Explanation(mark("Confirm with your second factor, too.")),
    InvalidCodeError: Explanation(WRONG_CODE, at="code"),
    CodeReusedError: Explanation(
        mark("That code was used already. Wait for the next one."), at="code"
    ),
    FactorUnavailableError: Explanation(
        mark("Codes cannot be checked right now. Confirm in another way, or try again later.")
    ),
    TooManyAttemptsError: Explanation(WAIT),
    RateLimitedError: Explanation(WAIT),
    HasherBusyError: Explanation(BUSY),
}

RECOVERY_CODE_EXPLANATIONS = {
    **EXPLANATIONS,
    InvalidCodeError: Explanation(
        mark("That recovery code is not right, or it was used already."), at="recovery_code"
    ),
}

METHODS = {"code": SecondStep.TOTP, "recovery-code": SecondStep.RECOVERY_CODE}
"""The second proofs, as the query of the page names them; each has a form of its own, because
browsers fill one field for codes."""


@blueprint.get("/account/confirm")
def show_confirm() -> Response:
    """Ask for a proof."""
    session = _require_visitor()
    token = find_bound(request.args.get(FIELD, ""), session)
    return _show(session, Submission(given={FIELD: token}))


@blueprint.post("/account/confirm")
def confirm() -> Response:
    """Freshen the session, give it a new cookie, and lead on."""
    session = _require_visitor()
    submission = read_signed_in_form(FORM, session)
    is_by_recovery_code = _asked_method() is SecondStep.RECOVERY_CODE
    return submit(
        submission,
        partial(_confirm, session=session),
        show=partial(_show, session),
        explanations=RECOVERY_CODE_EXPLANATIONS if is_by_recovery_code else EXPLANATIONS,
    )


def _require_visitor() -> BrowserSession:
    """Return the session, of any level: a proof may raise it to the one that its account needs."""
    session = find_visitor()
    if session is None:
        found = read_continuation(request.args.get(FIELD, ""))
        # A sign-in is fresh, so the person goes straight on.
        lead_to_sign_in(replace(found, session_id=None) if found is not None else None)
    return session


def _asked_method() -> SecondStep | None:
    return METHODS.get(request.args.get("method", ""))


@limited(REAUTHENTICATE, PASSWORDS)
@on_own_account(UserNotFoundError)
def _confirm(values: dict[str, Any], *, session: BrowserSession) -> Response:
    cookie = reauthenticate_browser(
        password=values.get("password"),
        given=find_given_proof(values),
        session=session,
        request=current_request_info(),
    )
    response = go_on(find_bound(values["continue_"], session))
    renew_session(response, session, cookie)
    return response


@on_own_account(UserNotFoundError)
def _show(
    session: BrowserSession,
    form: Submission,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    level = find_asked_level()
    ways = find_ways_to_reauthenticate(session.actor, level=level)
    usable = [name for name, method in METHODS.items() if method in ways.methods]
    asked = request.args.get("method", "")
    first = "" if ways.is_password_enough or not usable else usable[0]
    return page(
        "account_confirm.html",
        status=status,
        headers=headers,
        visitor=session,
        form=form,
        is_refused=form.is_refused,
        token=form.given.get(FIELD, ""),
        ways=ways,
        method=asked if asked in usable else first,
        others=usable,
        asked_level={} if level is Level.AAL1 else {LEVEL_FIELD: level.acr},
    )
