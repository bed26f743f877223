"""Signing in with a password, and the way on from there."""

from collections.abc import Sequence
from typing import Any

from flask import Response, request

from authserve.auth.browser_sign_in import sign_in_browser
from authserve.auth.errors import InvalidCredentialsError
from authserve.auth.known_devices import find_own_device
from authserve.auth.schemas import LoginSchema
from authserve.core.clock import now
from authserve.http.limits import limited
from authserve.mfa.challenges import SIGN_IN as SIGN_IN_USE
from authserve.mfa.errors import SecondStepRequiredError
from authserve.mfa.passkey_options import EXPIRES_IN_SECS, request_options
from authserve.pages.blueprint import (
    blueprint,
    page,
    query_target,
    redirect_to_target,
)
from authserve.pages.factor_fields import write_options
from authserve.pages.sign_in_steps import (
    complete,
    find_end,
    first_device,
    redirect_to_next_step,
    this_browser,
)
from authserve.passwords.queue import HasherBusyError
from authserve.ratelimit.errors import RateLimitedError, TooManyAttemptsError
from authserve.ratelimit.policy import PASSWORDS, SIGN_IN
from authserve.settings.model import SETTINGS, Registration, Settings
from authserve.users.errors import AccountDisabledError, EmailNotVerifiedError
from authserve.web.browser_session import device_tokens, find_signed_in_if_possible
from authserve.web.continuation import Continuation, read_continuation
from authserve.web.forms import (
    Checkbox,
    Explanation,
    PageForm,
    Submission,
    read_form,
    submit,
)
from authserve.web.languages import mark
from authserve.web.notices import open_notice
from authserve.web.sign_in_providers import SignInProvider, find_sign_in_providers


class SignInForm(PageForm, LoginSchema):
    """The API's data to sign in; the device tokens come from a cookie."""

    remember = Checkbox()

    class Meta(LoginSchema.Meta):
        """marshmallow's options."""

        exclude = ("device_token",)


FORM = SignInForm()

OFFER_RESET, OFFER_SUPPORT, OFFER_RESEND = "reset", "support", "resend"

WAIT = mark("There were too many attempts. Wait %(wait)s, then try again.")

EXPLANATIONS = {
    InvalidCredentialsError: Explanation(mark("The address, username or password is wrong.")),
    TooManyAttemptsError: Explanation(
        mark(
            "There were too many attempts. Wait %(wait)s, then try again, or reset your password."
        ),
        offers=frozenset({OFFER_RESET}),
    ),
    RateLimitedError: Explanation(WAIT),
    HasherBusyError: Explanation(
        mark("Many people are signing in right now. Try again in %(wait)s.")
    ),
    AccountDisabledError: Explanation(
        mark("This account is switched off."), offers=frozenset({OFFER_SUPPORT})
    ),
    EmailNotVerifiedError: Explanation(
        mark("Your address is not verified yet. Open the link in the mail that we sent you."),
        offers=frozenset({OFFER_RESEND}),
    ),
}


@blueprint.get("/sign-in")
def show_sign_in() -> Response:
    """Show the form; redirect a signed-in person, unless they want to use another account."""
    token = query_target()
    visitor = find_signed_in_if_possible()
    if visitor is not None and "switch" not in request.args:
        return redirect_to_target(token)
    done = open_notice("password-set")
    # A sign-in that ended before its second step begins again here.
    found = read_continuation(token)
    hint = found.login_hint if found is not None else ""
    form = Submission(given={"continue": token, "identifier": hint}, refusal=find_end())
    return show_form(form, is_password_set=done is not None)


@blueprint.post("/sign-in")
def sign_in() -> Response:
    """Start a session and redirect to the target."""
    submission = read_form(FORM)
    submission.values = _with_device(submission.values)
    return submit(submission, _start_session, show=show_form, explanations=EXPLANATIONS)


def _with_device(values: dict[str, Any]) -> dict[str, Any]:
    """Add the browser's device that the account knows, by which limits and throttles count."""
    if not values:
        return values
    found = (find_own_device(t, identifier=values["identifier"]) for t in device_tokens())
    return {**values, "device": first_device(found)}


@limited(SIGN_IN, PASSWORDS)
def _start_session(values: dict[str, Any]) -> Response:
    is_remembered, token = values["remember"], values["continue_"]
    try:
        done = sign_in_browser(
            this_browser(is_remembered=is_remembered),
            identifier=values["identifier"],
            password=values["password"],
            device=values["device"],
        )
    except SecondStepRequiredError as error:
        return redirect_to_next_step(error, token, is_remembered=is_remembered)
    return complete(redirect_to_target(token), done, is_remembered=is_remembered)


def show_form(
    form: Submission,
    *,
    is_password_set: bool = False,
    unknown_passkey: str = "",
) -> Response:
    """Return the page with the form to sign in, and the other ways.

    Args:
        form: the form as it was sent, or an empty one.
        is_password_set: True after a new password was set.
        unknown_passkey: the id of a passkey for the browser to forget.
    """
    settings = SETTINGS.get()
    token = form.given.get("continue", "")
    found = read_continuation(token)
    providers = find_sign_in_providers()
    hinted = find_hinted(providers, found)
    return page(
        "sign_in.html",
        form=form,
        token=token,
        target=found.host if found is not None else None,
        remembered_days=settings.sso_ttl.days,
        is_open=settings.registration is Registration.OPEN,
        is_password_set=is_password_set,
        hinted=hinted,
        ways=[way for way in other_ways(settings, providers) if way != hinted],
        options=_passkey_options(settings),
        options_expire_in=EXPIRES_IN_SECS,
        unknown_passkey=unknown_passkey,
    )


def other_ways(
    settings: Settings, providers: Sequence[SignInProvider]
) -> list[str | SignInProvider]:
    """Return the ways to sign in beside a password, in the order in which the page offers them."""
    passkey = ["passkey"] if settings.passkey_rp_id else []
    email_code = ["email-code"] if settings.email_sign_in else []
    return [*passkey, *providers, *email_code]


def find_hinted(
    providers: Sequence[SignInProvider], target: Continuation | None
) -> SignInProvider | None:
    """Return the provider that an app asks for by `idp_hint`; None without a known one.

    The page then offers it first. The person still has to press its button: a link from elsewhere
    signs no one in by itself (ASVS 7.6.2).
    """
    slug = target.provider_hint if target is not None else ""
    return next((provider for provider in providers if provider.slug == slug), None)


def _passkey_options(settings: Settings) -> str:
    return write_options(request_options(SIGN_IN_USE, now=now())) if settings.passkey_rp_id else ""
