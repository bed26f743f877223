"""The password: a new one, by a person who knows the current one."""

from functools import partial
from typing import Any

from flask import Response
from marshmallow import fields

from authserve.auth.browser_sessions import BrowserSession, change_password_in_browser
from authserve.http.limits import limited
from authserve.http.request_info import current_request_info
from authserve.pages.account_navigation import account_page
from authserve.pages.blueprint import (
    blueprint,
    query_continuation,
    redirect_to_target,
    redirect_with_notice,
)
from authserve.pages.sign_in import WAIT
from authserve.pages.sign_up import BUSY
from authserve.passwords.policy import LONG_LENGTH
from authserve.passwords.queue import HasherBusyError
from authserve.ratelimit.errors import RateLimitedError, TooManyAttemptsError
from authserve.ratelimit.policy import CHANGE_PASSWORD, PASSWORDS
from authserve.settings.model import SETTINGS
from authserve.users.errors import WrongPasswordError
from authserve.users.own_account import on_own_account
from authserve.users.schemas import PasswordChangeSchema
from authserve.web.access import read_signed_in_form, require_signed_in
from authserve.web.browser_session import remember_device, renew_session
from authserve.web.forms import Explanation, SignedInForm, Submission, submit
from authserve.web.languages import mark
from authserve.web.notices import open_notice


class PasswordForm(SignedInForm, PasswordChangeSchema):
    """The API's data to change a password."""

    username = fields.String()
    """The account, for password managers; nothing reads it."""


FORM = PasswordForm()

EXPLANATIONS = {
    WrongPasswordError: Explanation(
        mark("This is not your current password."), at="current_password"
    ),
    TooManyAttemptsError: Explanation(WAIT),
    RateLimitedError: Explanation(WAIT),
    HasherBusyError: Explanation(BUSY),
}


@blueprint.get("/account/password")
def show_password() -> Response:
    """Show the form for a new password, or that it is set."""
    session, token = require_signed_in(), query_continuation()
    is_done = open_notice("password") is not None
    return _show(session, Submission(given={"continue": token}), is_done=is_done)


@blueprint.post("/account/password")
def change_password() -> Response:
    """Replace the password; every other session ends, and this one gets a new cookie."""
    session = require_signed_in()
    return submit(
        read_signed_in_form(FORM, session),
        partial(_change, session=session),
        show=partial(_show, session),
        explanations=EXPLANATIONS,
    )


@limited(CHANGE_PASSWORD, PASSWORDS)
@on_own_account
def _change(values: dict[str, Any], *, session: BrowserSession) -> Response:
    changed = change_password_in_browser(
        session,
        current_password=values["current_password"],
        new_password=values["new_password"],
        request=current_request_info(),
    )
    token = values["continue_"]
    response = (
        redirect_to_target(token)
        if token
        else redirect_with_notice("pages.show_password", notice="password")
    )
    renew_session(response, session, changed.cookie)
    remember_device(response, changed.device)
    return response


def _show(session: BrowserSession, form: Submission, *, is_done: bool = False) -> Response:
    return account_page(
        "account_password.html",
        visitor=session,
        below="pages.show_password",
        form=form,
        is_done=is_done,
        is_after_stranger=open_notice("stranger") is not None,
        min_length=SETTINGS.get().password_min_length,
        long_length=LONG_LENGTH,
    )
