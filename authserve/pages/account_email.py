"""The address of an account: a change is asked for here, and made by a mailed link."""

from functools import partial
from typing import Any

from flask import Response

from authserve.auth.browser_sessions import BrowserSession
from authserve.http.limits import limited
from authserve.http.request_info import current_request_info
from authserve.pages.account_navigation import account_page
from authserve.pages.blueprint import blueprint, redirect_with_notice
from authserve.pages.sign_in import WAIT
from authserve.ratelimit.errors import RateLimitedError
from authserve.ratelimit.policy import CHANGE_EMAIL, CHANGE_EMAIL_OF_EMAIL, CHANGE_PROFILE
from authserve.users.own_account import on_own_account
from authserve.verification.requests import (
    find_pending_email_change,
    request_email_change,
    withdraw_email_change,
)
from authserve.verification.schemas import NewEmailSchema
from authserve.web.access import (
    read_button,
    read_signed_in_form,
    require_fresh,
    require_signed_in,
)
from authserve.web.forms import Explanation, Explanations, SignedInForm, Submission, submit
from authserve.web.notices import open_notice


class EmailForm(SignedInForm, NewEmailSchema):
    """The API's data to ask for another address."""


FORM = EmailForm()

EXPLANATIONS: Explanations = {RateLimitedError: Explanation(WAIT)}

REQUESTED, WITHDRAWN = "email-requested", "email-withdrawn"


@blueprint.get("/account/email")
def show_email() -> Response:
    """Show the form for another address, and the change that is pending."""
    session = require_signed_in()
    require_fresh(session)
    return _show(session, Submission())


@blueprint.post("/account/email")
def change_email() -> Response:
    """Send a link to another address; nothing changes until it is used."""
    session = require_signed_in()
    submission = read_signed_in_form(FORM, session)
    require_fresh(session)
    return submit(
        submission,
        partial(_request, session=session),
        show=partial(_show, session),
        explanations=EXPLANATIONS,
    )


@limited(CHANGE_EMAIL, CHANGE_EMAIL_OF_EMAIL)
@on_own_account
def _request(values: dict[str, Any], *, session: BrowserSession) -> Response:
    request_email_change(
        session.actor.signed_in_user,
        old_email=session.account.email,
        new_email=values["new_email"],
        actor=session.actor,
        request=current_request_info(),
    )
    return _done(REQUESTED)


@blueprint.post("/account/email/withdraw")
def withdraw_email() -> Response:
    """Withdraw the pending change; its link is dead at once."""
    session = require_signed_in(back_to="pages.show_email")
    read_button(session)
    return submit(
        Submission(),
        partial(_withdraw, session=session),
        show=partial(_show, session),
        explanations=EXPLANATIONS,
    )


@limited(CHANGE_PROFILE)
def _withdraw(_values: dict[str, Any], *, session: BrowserSession) -> Response:
    user = session.actor.signed_in_user
    withdraw_email_change(user, actor=session.actor, request=current_request_info())
    return _done(WITHDRAWN)


def _done(notice: str) -> Response:
    return redirect_with_notice("pages.show_email", notice=notice)


def _show(session: BrowserSession, form: Submission) -> Response:
    return account_page(
        "account_email.html",
        visitor=session,
        below="pages.show_profile",
        form=form,
        pending=find_pending_email_change(session.account.id),
        is_requested=open_notice(REQUESTED) is not None,
        is_withdrawn=open_notice(WITHDRAWN) is not None,
    )
