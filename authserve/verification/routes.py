"""The routes that request and redeem one-time links, and the HTML pages that the links lead to.

The pages have forms for the API, for deployments whose front end has none. A GET of a page changes
nothing, since mail scanners follow links too. The token is in the link's fragment, which browsers
do not send; the page's script reads it and calls the API like any other client.
"""

import re
from pathlib import Path
from typing import Any

import flask
from flask import Response, abort, render_template, send_from_directory

from authserve.core.clock import now
from authserve.core.errors import InvalidTokenForUseError
from authserve.http.authentication import (
    current_actor,
    current_authentication,
    fresh_login_required,
    login_optional,
    login_required,
    optional_actor,
)
from authserve.http.limits import limited
from authserve.http.openapi import Blueprint
from authserve.http.request_info import current_request_info
from authserve.http.schemas import EmptySchema
from authserve.passwords.policy import LONG_LENGTH
from authserve.passwords.queue import HasherBusyError
from authserve.ratelimit.errors import TooManyAttemptsError
from authserve.ratelimit.policy import (
    CHANGE_EMAIL,
    CHANGE_EMAIL_OF_EMAIL,
    CHANGE_PROFILE,
    FORGOT,
    FORGOT_OF_EMAIL,
    REDEEM,
    RESEND,
    RESEND_OF_EMAIL,
)
from authserve.settings.model import SETTINGS, brand_name
from authserve.tokens.device import issue_device_token, new_device
from authserve.users.errors import (
    EmailTakenError,
    UsernameTakenError,
    WrongPasswordError,
)
from authserve.users.own_account import on_own_account
from authserve.verification.policy import Purpose
from authserve.verification.redeem import (
    NewPassword,
    accept_invitation,
    confirm_email_change,
    reset_password,
    verify_address,
)
from authserve.verification.requests import (
    request_by_address,
    request_email_change,
    request_password_reset,
    withdraw_email_change,
)
from authserve.verification.schemas import (
    AddressSchema,
    DeviceTokenSchema,
    InvitationSchema,
    NewEmailSchema,
    ProvenTokenSchema,
    ResetSchema,
)

STATIC_FOLDER = Path(__file__).parent / "static"

TOKEN = re.compile(r"[A-Za-z0-9_-]{64}")
"""The form of the token in every link: 48 bytes in base64url."""

ASSETS = {"pages.css", "pages.js", "icon.svg"}

HEADERS = {
    # The browser itself must never submit a form, or a password could end up in a query string.
    # Trusted Types limit the script to inserting text (ASVS 3.2.2).
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
}

links_blueprint = Blueprint(
    "links", __name__, url_prefix="/api/v1/auth", description="Mailed links: requests and use."
)
email_blueprint = Blueprint(
    "email", __name__, url_prefix="/api/v1/users/me/email", description="Changing an address."
)


pages_blueprint = flask.Blueprint("pages", __name__, template_folder="templates")


@links_blueprint.post("/email/verify")
@login_optional
@links_blueprint.arguments(ProvenTokenSchema)
@links_blueprint.response(204)
@links_blueprint.refuses(
    InvalidTokenForUseError, WrongPasswordError, TooManyAttemptsError, HasherBusyError
)
@limited(REDEEM)
def verify_email(body: dict[str, Any]) -> None:
    """Verify an address, with the link's token and a session or the password."""
    verify_address(
        body["token"],
        password=body.get("password"),
        actor=optional_actor(),
        request=current_request_info(),
    )


@links_blueprint.post("/email/verify/resend")
@links_blueprint.arguments(AddressSchema)
@links_blueprint.response(202, EmptySchema)
@limited(RESEND, RESEND_OF_EMAIL)
def resend_verification(body: dict[str, Any]) -> dict[str, Any]:
    """Request another verification link; the answer is the same for every address."""
    request_by_address(Purpose.VERIFY_EMAIL, body["email"])
    return {}


@links_blueprint.post("/password/forgot")
@links_blueprint.arguments(AddressSchema)
@links_blueprint.response(202, EmptySchema)
@limited(FORGOT, FORGOT_OF_EMAIL)
def forgot_password(body: dict[str, Any]) -> dict[str, Any]:
    """Request a reset link; the answer is the same for every address."""
    request_password_reset(body["email"])
    return {}


@links_blueprint.post("/password/reset")
@links_blueprint.arguments(ResetSchema)
@links_blueprint.response(200, DeviceTokenSchema)
@links_blueprint.refuses(InvalidTokenForUseError, HasherBusyError)
@limited(REDEEM)
def reset(body: dict[str, Any]) -> dict[str, Any]:
    """Set a password with a reset link's token; every session ends."""
    made = reset_password(
        body["token"], new_password=body["new_password"], request=current_request_info()
    )
    return _known_device(made)


@links_blueprint.post("/invitation/accept")
@links_blueprint.arguments(InvitationSchema)
@links_blueprint.response(200, DeviceTokenSchema)
@links_blueprint.refuses(InvalidTokenForUseError, UsernameTakenError, HasherBusyError)
@limited(REDEEM)
def accept(body: dict[str, Any]) -> dict[str, Any]:
    """Choose a password and names with an invitation's token."""
    made = accept_invitation(
        body["token"],
        password=body["password"],
        username=body.get("username"),
        display_name=body.get("display_name"),
        request=current_request_info(),
    )
    return _known_device(made)


def _known_device(password: NewPassword) -> dict[str, Any]:
    device = new_device(password.user.id, password.password_version)
    return {
        "device_token": issue_device_token(device, public_url=SETTINGS.get().public_url, now=now())
    }


@email_blueprint.post("")
@fresh_login_required
@email_blueprint.arguments(NewEmailSchema)
@email_blueprint.response(202, EmptySchema)
@limited(CHANGE_EMAIL, CHANGE_EMAIL_OF_EMAIL)
@on_own_account
def post_email(body: dict[str, Any]) -> dict[str, Any]:
    """Request another address: a link is mailed to it, and a notice to the current one."""
    caller = current_authentication()
    request_email_change(
        caller.actor.signed_in_user,
        old_email=caller.account.email,
        new_email=body["new_email"],
        actor=caller.actor,
        request=current_request_info(),
    )
    return {}


@email_blueprint.delete("")
@login_required
@email_blueprint.response(204)
@limited(CHANGE_PROFILE)
def delete_email() -> None:
    """Withdraw the pending change of address, if there is one."""
    actor = current_actor()
    withdraw_email_change(actor.signed_in_user, actor=actor, request=current_request_info())


@email_blueprint.post("/confirm")
@login_optional
@email_blueprint.arguments(ProvenTokenSchema)
@email_blueprint.response(204)
@email_blueprint.refuses(
    InvalidTokenForUseError,
    WrongPasswordError,
    EmailTakenError,
    TooManyAttemptsError,
    HasherBusyError,
)
@limited(REDEEM)
def confirm_email(body: dict[str, Any]) -> None:
    """Confirm the new address, with the link's token and a session or the password."""
    confirm_email_change(
        body["token"],
        password=body.get("password"),
        actor=optional_actor(),
        request=current_request_info(),
    )


@pages_blueprint.get("/verify-email")
def verify_email_page() -> Response:
    """Return the page that verifies an address, with the account's password."""
    return _page("verify_email.html")


@pages_blueprint.get("/reset-password")
def reset_password_page() -> Response:
    """Return the page that resets a forgotten password."""
    return _page("reset_password.html")


@pages_blueprint.get("/confirm-email")
def confirm_email_page() -> Response:
    """Return the page that confirms a new address, with the account's password."""
    return _page("confirm_email.html")


@pages_blueprint.get("/accept-invitation")
def accept_invitation_page() -> Response:
    """Return the page on which an invited user chooses a password and names."""
    return _page("accept_invitation.html")


@pages_blueprint.get("/first-administrator")
def first_administrator_page() -> Response:
    """Return the page that creates the first account, an administrator."""
    return _page("first_administrator.html")


@pages_blueprint.get(
    "/<any('verify-email', 'reset-password', 'confirm-email', 'accept-invitation', "
    "'first-administrator'):page>#<token>"
)
def escaped_fragment(page: str, token: str) -> Response:
    """Redirect to the page of a link that a mail program escaped: `%23` instead of `#`.

    After the redirect the browser no longer sends the token. Text that is not a token is removed.
    """
    fragment = f"#{token}" if TOKEN.fullmatch(token) else ""
    # Relative, so that it works behind a proxy that strips a prefix.
    return Response(status=303, headers={**HEADERS, "Location": f"{page}{fragment}"})


@pages_blueprint.get("/pages/<name>")
def asset(name: str) -> Response:
    """Return the pages' script, style sheet or icon."""
    if name not in ASSETS:
        abort(404)
    return send_from_directory(STATIC_FOLDER, name)


def _page(template: str) -> Response:
    """Return a page; it contains nothing from the request, so every caller gets the same."""
    settings = SETTINGS.get()
    html = render_template(
        template,
        service=brand_name(settings),
        min_length=settings.password_min_length,
        long_length=LONG_LENGTH,
    )
    return Response(html, mimetype="text/html", headers=HEADERS)
