"""The authenticator app of an account: setting one up in place of the former, and removing it.

The page with a secret is the answer to a form, since a GET must not make one. Its form sends the
secret along, so that the page can show it again after a mistyped code; codes are compared with the
stored one.
"""

from base64 import b32decode
from dataclasses import replace
from functools import partial
from typing import Any

from flask import Response
from marshmallow import ValidationError, fields, validate, validates_schema

from authserve.auth.browser_sessions import BrowserSession
from authserve.auth.factor_confirmation import confirm_totp_in_browser
from authserve.http.limits import limited
from authserve.http.request_info import current_request_info
from authserve.mfa.email_codes import EMAIL_CODE_DIGITS
from authserve.mfa.errors import (
    FactorNotFoundError,
    InvalidCodeError,
    NoSetUpError,
    WrongMailedCodeError,
)
from authserve.mfa.factors import find_factors
from authserve.mfa.mailbox_proof import is_mailbox_proof_needed
from authserve.mfa.totp import CODE_DIGITS
from authserve.mfa.totp_set_up import SetUp, describe_set_up, remove_totp, set_up_totp
from authserve.pages.account_navigation import account_page
from authserve.pages.blueprint import blueprint
from authserve.pages.factor_changes import (
    EXPLANATIONS,
    LIST,
    find_consequence,
    read_change,
    read_pressed_change,
    redirect_to_methods,
    require_session_for_change,
    show_added,
)
from authserve.pages.factor_fields import TypedCode
from authserve.ratelimit.policy import REDEEM, SET_UP_FACTOR
from authserve.users.own_account import on_own_account
from authserve.web.forms import Explanation, SignedInForm, Submission, submit
from authserve.web.languages import mark


class AppForm(SignedInForm):
    """Nothing to begin a set-up, or the codes that confirm it."""

    code = TypedCode(CODE_DIGITS)
    email_code = TypedCode(EMAIL_CODE_DIGITS)
    secret = fields.String(validate=validate.Regexp(r"[A-Z2-7]{32}\Z", error="Not a secret."))

    @validates_schema(skip_on_field_errors=True)
    def _require_code(self, data: dict[str, Any], **_kwargs: Any) -> None:
        if "secret" in data and "code" not in data:
            raise ValidationError("Missing data for required field.", "code")


FORM = AppForm()

BEGIN_AGAIN = "begin-again"

APP_EXPLANATIONS = {
    **EXPLANATIONS,
    WrongMailedCodeError: Explanation(
        mark("That code is wrong or no longer valid. Use the code from the newest mail."),
        at="email_code",
    ),
    InvalidCodeError: Explanation(
        mark("That code is not right. Codes change every 30 seconds: wait for the next one."),
        at="code",
    ),
    NoSetUpError: Explanation(
        mark("This set-up is no longer valid. Begin it again."), offers=frozenset({BEGIN_AGAIN})
    ),
}

REMOVAL_EXPLANATIONS = {
    **EXPLANATIONS,
    FactorNotFoundError: Explanation(mark("This account has no authenticator app any more.")),
}


@blueprint.get("/account/sign-in-methods/totp")
def show_app() -> Response:
    """Show the button that begins a set-up."""
    return _show(require_session_for_change(), Submission())


@blueprint.post("/account/sign-in-methods/totp")
def set_up_app() -> Response:
    """Begin a set-up, or confirm it."""
    session, submission = read_change(FORM)
    act = _confirm if "code" in submission.values else _begin
    return submit(
        submission,
        partial(act, session=session),
        show=partial(_show, session),
        explanations=APP_EXPLANATIONS,
    )


@limited(SET_UP_FACTOR)
@on_own_account
def _begin(_values: dict[str, Any], *, session: BrowserSession) -> Response:
    set_up = set_up_totp(
        session.actor.signed_in_user,
        amr=session.amr,
        actor=session.actor,
        request=current_request_info(),
    )
    return _show(session, Submission(given={"secret": set_up.secret}))


@limited(REDEEM)
@on_own_account
def _confirm(values: dict[str, Any], *, session: BrowserSession) -> Response:
    done = confirm_totp_in_browser(
        code=values["code"],
        email_code=values.get("email_code"),
        session=session,
        request=current_request_info(),
    )
    return show_added(session, "app-added", codes=done.recovery_codes, cookie=done.renewal)


def _show(session: BrowserSession, form: Submission) -> Response:
    secret = form.given.get("secret")
    is_open = secret and "secret" not in form.faults and BEGIN_AGAIN not in form.offers
    return account_page(
        "account_app.html",
        visitor=session,
        below=LIST,
        form=form,
        has_app=find_factors(session.account.id).has_totp,
        set_up=_describe(secret, session) if secret and is_open else None,
    )


def _describe(secret: str, session: BrowserSession) -> SetUp:
    is_code_needed = is_mailbox_proof_needed(find_factors(session.account.id))
    return describe_set_up(
        b32decode(secret), email=session.account.email, email_code_required=is_code_needed
    )


@blueprint.get("/account/sign-in-methods/totp/remove")
def show_app_removal() -> Response:
    """Ask whether to remove the app, and say what follows."""
    return _show_removal(require_session_for_change(), Submission())


@blueprint.post("/account/sign-in-methods/totp/remove")
def remove_app() -> Response:
    """Remove the app; every other session ends."""
    session, submission = read_pressed_change()
    return submit(
        submission,
        partial(_remove, session=session),
        show=partial(_show_removal, session),
        explanations=REMOVAL_EXPLANATIONS,
    )


@on_own_account
def _remove(_values: dict[str, Any], *, session: BrowserSession) -> Response:
    remove_totp(session.actor.signed_in_user, actor=session.actor, request=current_request_info())
    return redirect_to_methods("app-removed")


def _show_removal(session: BrowserSession, form: Submission) -> Response:
    left = replace(find_factors(session.account.id), has_totp=False)
    return account_page(
        "account_app_remove.html",
        visitor=session,
        below=LIST,
        form=form,
        consequence=find_consequence(left, mfa_enabled=session.account.mfa_enabled),
    )
