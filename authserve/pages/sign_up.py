"""Opening an account, asking for another mail, and asking for a new password."""

from typing import Any

from flask import Response

from authserve.auth.register import register
from authserve.auth.schemas import RegisterSchema
from authserve.http.limits import limited
from authserve.http.request_info import current_request_info
from authserve.pages.blueprint import (
    blueprint,
    page,
    query_continuation,
    query_target,
    redirect_with_notice,
)
from authserve.pages.sign_in import WAIT
from authserve.passwords.policy import LONG_LENGTH
from authserve.passwords.queue import HasherBusyError
from authserve.ratelimit.errors import RateLimitedError
from authserve.ratelimit.policy import (
    FORGOT,
    FORGOT_OF_EMAIL,
    RESEND,
    RESEND_OF_EMAIL,
    SIGN_UP,
    SIGN_UP_OF_EMAIL,
)
from authserve.settings.model import SETTINGS, EmailVerification, Registration
from authserve.users.errors import EmailTakenError, RegistrationClosedError, UsernameTakenError
from authserve.verification.policy import Purpose
from authserve.verification.requests import request_by_address, request_password_reset
from authserve.verification.schemas import AddressSchema
from authserve.web.forms import Explanation, PageForm, Submission, read_form, submit
from authserve.web.languages import mark, storable_language
from authserve.web.notices import open_notice
from authserve.web.sign_in_providers import find_sign_in_providers


class SignUpForm(PageForm, RegisterSchema):
    """The API's data to open an account; the language is the page's."""

    class Meta(RegisterSchema.Meta):
        """marshmallow's options."""

        exclude = ("locale",)


class AddressForm(PageForm, AddressSchema):
    """An address to which a mail goes, if it has an account."""


SIGN_UP_FORM, ADDRESS_FORM = SignUpForm(), AddressForm()

BUSY = mark("The service is busy. Try again in %(wait)s.")

EXPLANATIONS = {
    EmailTakenError: Explanation(
        mark("This address has an account already. Sign in, or reset its password."), at="email"
    ),
    UsernameTakenError: Explanation(
        mark("Another user has this name. Choose another one."), at="username"
    ),
    RegistrationClosedError: Explanation(
        mark("New accounts are opened by invitation only. Ask the operator for one.")
    ),
    RateLimitedError: Explanation(WAIT),
    HasherBusyError: Explanation(BUSY),
}


@blueprint.get("/sign-up")
def show_sign_up() -> Response:
    """Show the form, or what follows once it was sent."""
    token, done = query_target(), open_notice("sign-up")
    if done is not None:
        return page("sign_up_done.html", email=done["email"], token=token, is_mailed=_is_mailing())
    return _show_sign_up(Submission(given={"continue": token}))


@blueprint.post("/sign-up")
def sign_up() -> Response:
    """Open an account; the person signs in afterwards."""
    return submit(
        read_form(SIGN_UP_FORM), _open_account, show=_show_sign_up, explanations=EXPLANATIONS
    )


@limited(SIGN_UP, SIGN_UP_OF_EMAIL)
def _open_account(values: dict[str, Any]) -> Response:
    register(
        email=values["email"],
        password=values["password"],
        username=values.get("username"),
        display_name=values.get("display_name"),
        locale=storable_language(),
        request=current_request_info(),
    )
    return redirect_with_notice(
        "pages.show_sign_up", notice="sign-up", email=values["email"], token=values["continue_"]
    )


def _show_sign_up(form: Submission) -> Response:
    settings = SETTINGS.get()
    return page(
        "sign_up.html",
        form=form,
        token=form.given.get("continue", ""),
        is_open=settings.registration is Registration.OPEN,
        # Where addresses must be verified, a taken username would reveal accounts.
        has_username=settings.email_verification is not EmailVerification.REQUIRED,
        domains=settings.registration_domains,
        min_length=settings.password_min_length,
        long_length=LONG_LENGTH,
        providers=[each for each in find_sign_in_providers() if each.opens_accounts],
    )


def _is_mailing() -> bool:
    return SETTINGS.get().email_verification is not EmailVerification.OFF


@blueprint.get("/verify-email/resend")
def show_resend() -> Response:
    """Show the form that asks for another verification mail."""
    return _show_resend(Submission(given={"continue": query_continuation()}))


@blueprint.post("/verify-email/resend")
def resend_verification() -> Response:
    """Send another verification mail, and show the same page for every address."""
    return submit(read_form(ADDRESS_FORM), _resend, show=_show_resend, explanations=EXPLANATIONS)


@limited(RESEND, RESEND_OF_EMAIL)
def _resend(values: dict[str, Any]) -> Response:
    request_by_address(Purpose.VERIFY_EMAIL, values["email"])
    return redirect_with_notice(
        "pages.show_sign_up", notice="sign-up", email=values["email"], token=values["continue_"]
    )


def _show_resend(form: Submission) -> Response:
    return _show_address_form("resend.html", form)


@blueprint.get("/forgot-password")
def show_forgot_password() -> Response:
    """Show the form, or what follows once it was sent."""
    token, done = query_continuation(), open_notice("forgot-password")
    if done is not None:
        return page("forgot_password_done.html", email=done["email"], token=token)
    return _show_forgot_password(Submission(given={"continue": token}))


@blueprint.post("/forgot-password")
def forgot_password() -> Response:
    """Send a reset link, and show the same page for every address."""
    return submit(
        read_form(ADDRESS_FORM),
        _request_reset,
        show=_show_forgot_password,
        explanations=EXPLANATIONS,
    )


@limited(FORGOT, FORGOT_OF_EMAIL)
def _request_reset(values: dict[str, Any]) -> Response:
    request_password_reset(values["email"])
    return redirect_with_notice(
        "pages.show_forgot_password",
        notice="forgot-password",
        email=values["email"],
        token=values["continue_"],
    )


def _show_forgot_password(form: Submission) -> Response:
    return _show_address_form("forgot_password.html", form)


def _show_address_form(template: str, form: Submission) -> Response:
    token = form.given.get("continue", "")
    return page(template, form=form, token=token)
