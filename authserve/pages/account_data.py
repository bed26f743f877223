"""The data of an account: a copy of it, and its deletion."""

from functools import partial
from typing import Any

from flask import Response, stream_with_context

from authserve.admin.personal_data import export_personal_data
from authserve.auth.browser_sessions import BrowserSession
from authserve.core.errors import ValidationFailedError
from authserve.http.fields import EmailAddress
from authserve.http.limits import limited
from authserve.http.request_info import current_request_info
from authserve.pages.account_navigation import account_page
from authserve.pages.blueprint import blueprint, link_to
from authserve.pages.sign_in import WAIT
from authserve.ratelimit.errors import RateLimitedError
from authserve.ratelimit.policy import EXPORT
from authserve.users.accounts import delete_user
from authserve.users.errors import LastAdminError
from authserve.users.own_account import on_own_account
from authserve.web.access import (
    read_button,
    read_signed_in_form,
    require_fresh,
    require_signed_in,
)
from authserve.web.browser_session import remove_session
from authserve.web.forms import Explanation, SignedInForm, Submission, submit
from authserve.web.languages import mark
from authserve.web.notices import FIELD as NOTICE
from authserve.web.notices import seal_notice
from authserve.web.rendering import PAGE_HEADERS, WITH_ORIGIN, see_other

FILE_NAME = "account.json"
"""The name under which browsers save the copy; it names no person."""


class DeletionForm(SignedInForm):
    """The account's own address, typed, so that no mistaken press deletes it."""

    confirm = EmailAddress(required=True)


FORM = DeletionForm()

EXPLANATIONS = {
    RateLimitedError: Explanation(WAIT),
    LastAdminError: Explanation(
        mark(
            "You are the only administrator. Make another user an administrator first, then delete "
            "this account."
        )
    ),
}

OTHER_ADDRESS = mark("This is not the address of your account.")


@blueprint.get("/account/data")
def show_data() -> Response:
    """Show what can be done with the data of the account."""
    return _show("account_data.html", require_signed_in(), Submission())


@blueprint.post("/account/data/export")
def export_data() -> Response:
    """Send all data that is held on the person, as a file."""
    session = require_signed_in(back_to="pages.show_data")
    read_button(session)
    require_fresh(session, back_to="pages.show_data")
    return submit(
        Submission(),
        partial(_export, session=session),
        show=partial(_show, "account_data.html", session),
        explanations=EXPLANATIONS,
    )


@limited(EXPORT)
@on_own_account
def _export(_values: dict[str, Any], *, session: BrowserSession) -> Response:
    pieces = export_personal_data(session.account.id)
    headers = {
        **PAGE_HEADERS,
        "Referrer-Policy": WITH_ORIGIN,
        "Content-Disposition": f'attachment; filename="{FILE_NAME}"',
    }
    return Response(stream_with_context(pieces), mimetype="application/json", headers=headers)


@blueprint.get("/account/data/delete")
def show_deletion() -> Response:
    """Ask for the address of the account that is to be deleted."""
    session = require_signed_in()
    require_fresh(session)
    return _show("account_delete.html", session, Submission())


@blueprint.post("/account/data/delete")
def delete_account() -> Response:
    """Delete the account; the person is signed out."""
    session = require_signed_in()
    submission = read_signed_in_form(FORM, session)
    require_fresh(session)
    return submit(
        submission,
        partial(_delete, session=session),
        show=partial(_show, "account_delete.html", session),
        explanations=EXPLANATIONS,
    )


@on_own_account
def _delete(values: dict[str, Any], *, session: BrowserSession) -> Response:
    if values["confirm"] != session.account.email:
        raise ValidationFailedError({"confirm": [OTHER_ADDRESS]})
    delete_user(session.actor.signed_in_user, actor=session.actor, request=current_request_info())
    notice = seal_notice("deleted")
    response = see_other(link_to("pages.show_signed_out", "", **{NOTICE: notice}))
    remove_session(response)
    return response


def _show(template: str, session: BrowserSession, form: Submission) -> Response:
    return account_page(template, visitor=session, below="pages.show_data", form=form)
