"""The step-up: a signed-in person gives a proof again, before what can change access."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from flask import Response, request
from marshmallow import fields

from authserve.auth.browser_sessions import BrowserSession
from authserve.auth.reauthenticate import (
    find_ways_to_reauthenticate,
    reauthenticate_browser,
    reauthentication_options,
)
from authserve.auth.schemas import ReauthenticateSchema
from authserve.core.clock import now
from authserve.core.levels import Level
from authserve.http.limits import limited
from authserve.http.request_info import current_request_info
from authserve.mfa.assurance import SecondStep, need_of
from authserve.mfa.errors import (
    CodeReusedError,
    FactorUnavailableError,
    InvalidCodeError,
    MfaRequiredError,
    WrongPasskeyError,
)
from authserve.mfa.schemas import find_given_proof
from authserve.mfa.totp import CODE_DIGITS
from authserve.pages.blueprint import blueprint, page, redirect_to_target
from authserve.pages.factor_fields import (
    PASSKEY_UNUSED,
    Credential,
    TypedCode,
    explain_credential,
    write_options,
)
from authserve.pages.second_step import NAMES, UNAVAILABLE
from authserve.pages.sign_in import WAIT
from authserve.pages.sign_up import BUSY
from authserve.passwords.queue import HasherBusyError
from authserve.ratelimit.errors import RateLimitedError, TooManyAttemptsError
from authserve.ratelimit.policy import PASSWORDS, REAUTHENTICATE
from authserve.settings.model import SETTINGS
from authserve.users.errors import WrongPasswordError
from authserve.users.own_account import on_own_account
from authserve.web.access import (
    LEVEL_FIELD,
    find_asked_level,
    find_bound,
    read_signed_in_form,
    redirect_to_sign_in,
)
from authserve.web.browser_session import find_visitor, renew_session
from authserve.web.continuation import FIELD, read_continuation
from authserve.web.forms import Explanation, SignedInForm, Submission, submit
from authserve.web.languages import mark
from authserve.web.sign_in_providers import SignInProvider, find_linked_providers


class ConfirmForm(SignedInForm, ReauthenticateSchema):
    """The API's data to reauthenticate with the password."""

    class Meta(ReauthenticateSchema.Meta):
        """marshmallow's options."""

        exclude = ("credential",)

    totp_code = TypedCode(CODE_DIGITS, data_key="code")
    username = fields.String()
    """The account, for password managers; nothing reads it."""


class PasskeyConfirmForm(SignedInForm):
    """The answer of a passkey, which is enough alone."""

    credential = Credential(required=True)


FORM, PASSKEY_FORM = ConfirmForm(), PasskeyConfirmForm()

WRONG_CODE = mark("That code is not right. Codes change every 30 seconds: wait for the next one.")

EXPLANATIONS = {
    WrongPasswordError: Explanation(mark("The password is wrong."), at="password"),
    MfaRequiredError: Explanation(mark("Confirm with your second factor, too.")),
    InvalidCodeError: Explanation(WRONG_CODE, at="code"),
    CodeReusedError: Explanation(
        mark("That code was used already. Wait for the next one."), at="code"
    ),
    WrongPasskeyError: Explanation(PASSKEY_UNUSED),
    FactorUnavailableError: Explanation(UNAVAILABLE),
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

METHODS = {name: method for method, name in NAMES.items()}
"""The second proofs by their names in the query of the page; each has a form of its own, because
browsers fill in one field for codes."""


@blueprint.get("/account/confirm")
def show_confirm() -> Response:
    """Ask for a proof."""
    session = _require_visitor()
    token = find_bound(request.args.get(FIELD, ""), session)
    return _show(session, Submission(given={FIELD: token}))


@blueprint.post("/account/confirm")
def confirm() -> Response:
    """Record the proof, give the session a new cookie, and redirect to the target."""
    session = _require_visitor()
    method = _asked_method()
    form = PASSKEY_FORM if method is SecondStep.PASSKEY else FORM
    is_by_recovery_code = method is SecondStep.RECOVERY_CODE
    return submit(
        explain_credential(read_signed_in_form(form, session)),
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
        redirect_to_sign_in(replace(found, session_id=None) if found is not None else None)
    return session


def _asked_method() -> SecondStep | None:
    return METHODS.get(request.args.get("method", ""))


@limited(REAUTHENTICATE, PASSWORDS)
@on_own_account
def _confirm(values: dict[str, Any], *, session: BrowserSession) -> Response:
    cookie = reauthenticate_browser(
        password=values.get("password"),
        given=find_given_proof(values),
        session=session,
        request=current_request_info(),
    )
    response = redirect_to_target(find_bound(values["continue_"], session))
    renew_session(response, session, cookie)
    return response


@on_own_account
def _show(session: BrowserSession, form: Submission) -> Response:
    level = find_asked_level()
    ways = find_ways_to_reauthenticate(session.actor, level=level)
    method = _asked_method()
    if method not in ways.methods:
        method = None if ways.is_password_enough else next(iter(ways.methods), None)
    is_by_passkey = method is SecondStep.PASSKEY
    return page(
        "account_confirm.html",
        visitor=session,
        form=form,
        token=form.given.get(FIELD, ""),
        method="" if method is None else NAMES[method],
        is_password_enough=ways.is_password_enough,
        others=[NAMES[each] for each in ways.methods if each is not method],
        options=write_options(reauthentication_options(session.actor)) if is_by_passkey else "",
        asked_level={} if level is Level.AAL1 else {LEVEL_FIELD: level.acr},
        providers=_find_providers(session, level),
    )


def _find_providers(session: BrowserSession, level: Level) -> Sequence[SignInProvider]:
    """Return the providers by which the person can sign in once more, which is fresh.

    A provider is one factor, so it leads to two only in an account that is asked for the second.
    """
    enabled = session.account.mfa_enabled
    need = need_of(mfa_enabled=enabled, settings=SETTINGS.get(), now=now())
    return find_linked_providers(session.account.id) if level <= need else ()
