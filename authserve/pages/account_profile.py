"""The profile: the names of an account, and its language."""

from functools import partial
from typing import Any

from flask import Response

from authserve.auth.browser_sessions import BrowserSession
from authserve.core.languages import LANGUAGE_NAMES
from authserve.http.limits import limited
from authserve.http.request_info import current_request_info
from authserve.pages.account_navigation import account_page
from authserve.pages.blueprint import blueprint, redirect_with_notice
from authserve.pages.sign_in import WAIT
from authserve.ratelimit.errors import RateLimitedError
from authserve.ratelimit.policy import CHANGE_PROFILE
from authserve.settings.model import SETTINGS
from authserve.users.accounts import update_profile
from authserve.users.errors import UsernameTakenError
from authserve.users.own_account import on_own_account
from authserve.users.schemas import ProfileSchema
from authserve.web.access import read_signed_in_form, require_signed_in
from authserve.web.forms import Explanation, SignedInForm, Submission, submit
from authserve.web.languages import mark, remember_language
from authserve.web.notices import open_notice


class ProfileForm(SignedInForm, ProfileSchema):
    """The API's changes of a profile."""


FORM = ProfileForm()

FIELDS = ("display_name", "username", "locale")

EXPLANATIONS = {
    UsernameTakenError: Explanation(
        mark("Another user has this name. Choose another one."), at="username"
    ),
    RateLimitedError: Explanation(WAIT),
}


@blueprint.get("/account/profile")
def show_profile() -> Response:
    """Show the names and the language of the account in a form."""
    session = require_signed_in()
    given = {name: getattr(session.account, name) or "" for name in FIELDS}
    return _show(session, Submission(given=given), is_done=open_notice("profile") is not None)


@blueprint.post("/account/profile")
def change_profile() -> Response:
    """Change the names and the language of the account."""
    session = require_signed_in()
    submission = read_signed_in_form(FORM, session)
    # An empty field removes the name; a field that was not sent leaves it.
    sent = [name for name in FIELDS if name in submission.given]
    return submit(
        submission,
        partial(_change, session=session, sent=sent),
        show=partial(_show, session),
        explanations=EXPLANATIONS,
    )


@limited(CHANGE_PROFILE)
@on_own_account
def _change(values: dict[str, Any], *, session: BrowserSession, sent: list[str]) -> Response:
    changes = {name: values.get(name) for name in sent}
    update_profile(
        session.actor.signed_in_user,
        changes,  # type: ignore[arg-type]
        actor=session.actor,
        request=current_request_info(),
    )
    response = redirect_with_notice("pages.show_profile", notice="profile")
    if values.get("locale"):
        remember_language(response, values["locale"])
    return response


def _show(session: BrowserSession, form: Submission, *, is_done: bool = False) -> Response:
    return account_page(
        "account_profile.html",
        visitor=session,
        below="pages.show_profile",
        form=form,
        is_done=is_done,
        languages={tag: LANGUAGE_NAMES[tag] for tag in SETTINGS.get().languages},
    )
