"""The pages that mailed links, invitations and the first administrator's link lead to.

The token is in the link's fragment, which browsers do not send. The script moves it into the form;
without the script the person pastes the link. A GET changes nothing, since mail scanners follow
links too. The pages send no referrer, and their forms prove their origin by the token (`origin`).
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from flask import Response
from marshmallow import Schema

from authserve.auth.first_administrator import make_first_administrator
from authserve.auth.schemas import FirstAdministratorSchema
from authserve.core.actor import VISITOR, Actor
from authserve.core.errors import InvalidTokenForUseError, NotFoundError
from authserve.http.limits import limited
from authserve.http.request_info import current_request_info
from authserve.pages.blueprint import blueprint, link_to, page
from authserve.pages.sign_in import WAIT
from authserve.pages.sign_up import BUSY
from authserve.passwords.policy import LONG_LENGTH
from authserve.passwords.queue import HasherBusyError
from authserve.ratelimit.errors import RateLimitedError, TooManyAttemptsError
from authserve.ratelimit.policy import REDEEM
from authserve.settings.model import SETTINGS
from authserve.tokens.device import new_device
from authserve.users.errors import EmailTakenError, UsernameTakenError, WrongPasswordError
from authserve.verification.redeem import (
    NewPassword,
    accept_invitation,
    confirm_email_change,
    reset_password,
    verify_address,
)
from authserve.verification.schemas import (
    InvitationSchema,
    LinkToken,
    ProvenTokenSchema,
    ResetSchema,
)
from authserve.web.browser_session import find_signed_in, remember_device
from authserve.web.forms import Explanation, PageForm, Submission, read_form, submit
from authserve.web.languages import mark
from authserve.web.notices import FIELD as NOTICE
from authserve.web.notices import open_notice, seal_notice
from authserve.web.rendering import WITHOUT_REFERRER, see_other
from authserve.web.sign_in_providers import find_identified_person, find_sign_in_providers

ENDPOINTS = frozenset(
    {
        "pages.verify_email",
        "pages.confirm_email",
        "pages.post_reset_password",
        "pages.post_accept_invitation",
        "pages.post_first_administrator",
    }
)
"""The endpoints of these forms."""

TOKEN = re.compile(r"[A-Za-z0-9_-]{64}")
"""The form of the token in every link: 48 bytes in base64url."""

OFFER_NEW_LINK = "new-link"

_DEAD = Explanation(
    mark(
        "This link is no longer valid. It was used, it is too old, or a newer mail took its place."
    ),
    offers=frozenset({OFFER_NEW_LINK}),
)

EXPLANATIONS = {
    InvalidTokenForUseError: _DEAD,
    NotFoundError: Explanation(
        mark(
            "This link is no longer valid: it was used, is too old, or there is an account "
            "already. The operator can print another one, or grant an account the role admin."
        )
    ),
    WrongPasswordError: Explanation(
        mark("The password is wrong. Your link is still valid: try again."), at="password"
    ),
    UsernameTakenError: Explanation(
        mark("Another user has this name. Choose another one."), at="username"
    ),
    EmailTakenError: Explanation(mark("Another account uses this address. Nothing was changed.")),
    TooManyAttemptsError: Explanation(WAIT),
    RateLimitedError: Explanation(WAIT),
    HasherBusyError: Explanation(BUSY),
}


class PastedLink(LinkToken):
    """The token of a link, or the whole link as a person pasted it."""

    def __init__(self) -> None:
        super().__init__()
        # `token` is the name of another field on pages.
        self.data_key = "link_token"

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        text: str = super()._deserialize(value, *args, **kwargs)
        # Some mail programs escape the #.
        return re.split(r"#|%23", text.strip())[-1]


class ProvenForm(PageForm, ProvenTokenSchema):
    """A link, and the account's password if its owner is not signed in."""

    token = PastedLink()


class ResetForm(PageForm, ResetSchema):
    """A reset link and the new password."""

    token = PastedLink()


class InvitationForm(PageForm, InvitationSchema):
    """An invitation, a password, and the names that the user chooses."""

    token = PastedLink()


class FirstAdministratorForm(PageForm, FirstAdministratorSchema):
    """The first link, with an address and a password for the account."""

    token = PastedLink()


PROVEN, RESET, INVITATION = ProvenForm(), ResetForm(), InvitationForm()
FIRST_ADMINISTRATOR = FirstAdministratorForm()


@blueprint.get("/verify-email")
def show_verify_email() -> Response:
    """Show the form that verifies an address, or that it is verified.

    It asks for no password if a provider has just identified the person, who may have none.
    """
    return _show_first("verify_email.html", "verify-email")


@blueprint.post("/verify-email")
def verify_email() -> Response:
    """Verify an address."""
    return _answer(PROVEN, _verify_email, template="verify_email.html")


@limited(REDEEM)
def _verify_email(values: dict[str, Any]) -> Response:
    verify_address(
        values["token"],
        password=values.get("password"),
        actor=_actor_who_may_verify(values.get("password")),
        request=current_request_info(),
    )
    return _done("show_verify_email", "verify-email")


def _actor_who_may_verify(password: str | None) -> Actor:
    actor = _actor()
    if actor.user is None and password is None:
        return find_identified_person() or actor
    return actor


@blueprint.get("/confirm-email")
def show_confirm_email() -> Response:
    """Show the form that confirms a new address, or that it is confirmed."""
    return _show_first("confirm_email.html", "confirm-email")


@blueprint.post("/confirm-email")
def confirm_email() -> Response:
    """Change an account's address to the one that the link was sent to."""
    return _answer(PROVEN, _confirm_email, template="confirm_email.html")


@limited(REDEEM)
def _confirm_email(values: dict[str, Any]) -> Response:
    confirm_email_change(
        values["token"],
        password=values.get("password"),
        actor=_actor(),
        request=current_request_info(),
    )
    return _done("show_confirm_email", "confirm-email")


@blueprint.get("/reset-password")
def show_reset_password() -> Response:
    """Show the form for a new password, or that it is set."""
    return _show_first("reset_password.html", "reset-password")


@blueprint.post("/reset-password")
def post_reset_password() -> Response:
    """Set a password; every session ends."""
    return _answer(RESET, _reset_password, template="reset_password.html")


@limited(REDEEM)
def _reset_password(values: dict[str, Any]) -> Response:
    made = reset_password(
        values["token"], new_password=values["new_password"], request=current_request_info()
    )
    return _with_device(_done("show_reset_password", "reset-password"), made)


@blueprint.get("/accept-invitation")
def show_accept_invitation() -> Response:
    """Show the form on which an invited user chooses a password and names, or that it is done."""
    return _show_first("accept_invitation.html", "accept-invitation")


@blueprint.post("/accept-invitation")
def post_accept_invitation() -> Response:
    """Activate an invited account."""
    return _answer(INVITATION, _accept_invitation, template="accept_invitation.html")


@limited(REDEEM)
def _accept_invitation(values: dict[str, Any]) -> Response:
    made = accept_invitation(
        values["token"],
        password=values["password"],
        username=values.get("username"),
        display_name=values.get("display_name"),
        request=current_request_info(),
    )
    return _with_device(_done("show_accept_invitation", "accept-invitation"), made)


@blueprint.get("/first-administrator")
def show_first_administrator() -> Response:
    """Show the form that creates the first account, or that it is created."""
    return _show_first("first_administrator.html", "first-administrator")


@blueprint.post("/first-administrator")
def post_first_administrator() -> Response:
    """Create the first account, an administrator."""
    return _answer(
        FIRST_ADMINISTRATOR, _make_first_administrator, template="first_administrator.html"
    )


@limited(REDEEM)
def _make_first_administrator(values: dict[str, Any]) -> Response:
    make_first_administrator(
        values["token"],
        email=values["email"],
        password=values["password"],
        request=current_request_info(),
    )
    return _done("show_first_administrator", "first-administrator")


@blueprint.get(
    "/<any('verify-email', 'reset-password', 'confirm-email', 'accept-invitation', "
    "'first-administrator'):name>#<token>"
)
def unescape_fragment(name: str, token: str) -> Response:
    """Redirect to the page of a link that a mail program escaped: `%23` instead of `#`.

    After the redirect the browser no longer sends the token. Text that is not a token is removed.
    """
    fragment = f"#{token}" if TOKEN.fullmatch(token) else ""
    return see_other(f"/{name}{fragment}", referrer_policy=WITHOUT_REFERRER)


def _show_first(template: str, notice: str) -> Response:
    """Show an empty form, or what follows once it was sent."""
    is_done = open_notice(notice) is not None
    return _show(template, Submission(), is_done=is_done)


def _answer(
    schema: Schema, act: Callable[[dict[str, Any]], Response], *, template: str
) -> Response:
    """Return the answer to a form: see `submit`."""
    return submit(read_form(schema), act, show=partial(_show, template), explanations=EXPLANATIONS)


def _show(template: str, form: Submission, *, is_done: bool = False) -> Response:
    return page(
        template,
        referrer_policy=WITHOUT_REFERRER,
        visitor=find_signed_in(),
        form=form,
        is_done=is_done,
        min_length=SETTINGS.get().password_min_length,
        long_length=LONG_LENGTH,
        # An account that a provider opened has no password.
        has_providers=bool(find_sign_in_providers()),
        is_identified=find_identified_person,
    )


def _done(endpoint: str, notice: str) -> Response:
    path = link_to(f"pages.{endpoint}", "", **{NOTICE: seal_notice(notice)})
    return see_other(path, referrer_policy=WITHOUT_REFERRER)


def _with_device(response: Response, made: NewPassword) -> Response:
    """Make the browser known to the account, as the API does with a device token."""
    remember_device(response, new_device(made.user.id, made.password_version))
    return response


def _actor() -> Actor:
    session = find_signed_in()
    return session.actor if session is not None else VISITOR
