"""Signing out, and the page after it. It is small because it shares nothing with signing in."""

from flask import Response

from authserve.auth.browser_sessions import sign_browser_out
from authserve.http.request_info import current_request_info
from authserve.pages.blueprint import (
    blueprint,
    link_to,
    page,
    query_continuation,
    query_target,
)
from authserve.web.access import require_form_token
from authserve.web.browser_session import find_visitor, remove_session
from authserve.web.continuation import Continuation, TargetKind, read_continuation
from authserve.web.forms import SignedInForm, Submission, read_form
from authserve.web.notices import open_notice
from authserve.web.origin import ForeignFormError
from authserve.web.rendering import see_other

FORM = SignedInForm()


@blueprint.get("/sign-out")
def show_sign_out() -> Response:
    """Ask whether to sign out; a GET changes nothing, since links and pictures cause one too."""
    token, visitor = query_target(), find_visitor()
    if visitor is None:
        return see_other(_path_after(token))
    return page("sign_out.html", visitor=visitor, form=Submission(given={"continue": token}))


@blueprint.post("/sign-out")
def sign_out() -> Response:
    """End the session of the browser."""
    submission, visitor = read_form(FORM), find_visitor()
    if submission.faults:
        raise ForeignFormError
    token = submission.given.get("continue", "")
    if visitor is not None:
        require_form_token(visitor, submission.given.get("token", ""))
        sign_browser_out(visitor, request=current_request_info())
    response = see_other(_path_after(token))
    remove_session(response)
    return response


def _path_after(token: str) -> str:
    """Return the path of a signed-out person: back to the app that asked for it, or the page."""
    found = read_continuation(token)
    is_asked = found is not None and found.kind is TargetKind.LOGOUT
    return link_to("pages.leave" if is_asked else "pages.show_signed_out", token)


@blueprint.get("/signed-out")
def show_signed_out() -> Response:
    """Show that the browser is signed out, and the ways on."""
    if find_visitor() is not None:
        return see_other(link_to("pages.show_sign_out", ""))
    token = query_continuation()
    found = read_continuation(token)
    return page(
        "signed_out.html",
        token=token,
        target=found if found is not None and _leads_back(found) else None,
        is_deleted=open_notice("deleted") is not None,
    )


def _leads_back(found: Continuation) -> bool:
    """Return True if a target is an address that a person who signed out may go back to."""
    return found.kind is TargetKind.RETURN and not found.is_expired
