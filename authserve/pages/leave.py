"""The page between this service and an app, after signing in and after signing out.

A redirect after a form would be refused: `form-action 'self'` holds for its redirects too (CSP 3,
§4.2.2), so the browser leaves by itself from a page of ours. The module is small because both ways
share it.
"""

from urllib.parse import urlencode

from flask import Response

from authserve.pages.blueprint import (
    blueprint,
    link_to,
    page,
    query_continuation,
    redirect_to_target,
)
from authserve.web.browser_session import find_signed_in, find_visitor
from authserve.web.continuation import (
    FIELD,
    LOGOUT_PATH,
    RESUME_PATH,
    Continuation,
    TargetKind,
    read_continuation,
)
from authserve.web.rendering import WITHOUT_REFERRER, see_other

_NEXT_PATHS = {TargetKind.AUTHORIZE: RESUME_PATH, TargetKind.LOGOUT: LOGOUT_PATH}
"""Paths at which an app's request is decided, before the browser leaves."""


@blueprint.get("/oauth/continue")
def leave() -> Response:
    """Show the page between this service and an app."""
    token = query_continuation()
    found = read_continuation(token)
    if found is None or found.kind is TargetKind.PAGE:
        return redirect_to_target("")
    if found.kind is TargetKind.LOGOUT:
        return _leave_signed_out(found, token)
    if find_signed_in() is None:
        return see_other(link_to("pages.show_sign_in", token))
    return _show(found, None if found.is_expired else _address_of(found, token))


def _leave_signed_out(found: Continuation, token: str) -> Response:
    if find_visitor() is not None:
        return see_other(link_to("pages.show_sign_out", token))
    if found.is_expired:
        return see_other(link_to("pages.show_signed_out", ""))
    return _show(found, _address_of(found, token))


def _address_of(found: Continuation, token: str) -> str:
    """Return the address to which the browser leaves; an app's request is decided first."""
    path = _NEXT_PATHS.get(found.kind)
    return found.target if path is None else f"{path}?{urlencode({FIELD: token})}"


def _show(found: Continuation, address: str | None) -> Response:
    return page("leave.html", referrer_policy=WITHOUT_REFERRER, address=address, host=found.host)
