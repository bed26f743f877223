"""The browser's way through an app's request to sign out, and back to the app."""

import logging
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from authserve.auth.browser_sessions import BrowserSession
from authserve.core.errors import MalformedRequestError
from authserve.http.get_effects import changes_on_get
from authserve.http.json_body import FORM_TYPE
from authserve.http.limits import count_call
from authserve.http.middleware import refuse_late
from authserve.http.request_info import current_request_info
from authserve.oidc.authorize_request import parse_parameters
from authserve.oidc.errors import OAuthError, UntrustedRequestError
from authserve.oidc.forms import read_oauth_form
from authserve.oidc.logout import (
    ADDRESS,
    CLIENT,
    HINT,
    STATE,
    LogoutRequest,
    WayBack,
    find_way_back,
    read_logout,
    sign_out_by_hint,
)
from authserve.ratelimit.policy import LOGOUT
from authserve.settings.model import SETTINGS
from authserve.web.access import SIGN_OUT_PATH, SIGNED_OUT_PATH
from authserve.web.browser_session import find_visitor, remove_dead_session, remove_session
from authserve.web.continuation import (
    FIELD,
    LOGOUT_PATH,
    Continuation,
    TargetKind,
    read_continuation,
    write_continuation,
)
from authserve.web.origin import redirect_to_public_name
from authserve.web.rendering import WITHOUT_REFERRER, add_query, leave_to, see_other

blueprint = Blueprint("logout", __name__)

MAX_QUERY_BYTES = 4_000
"""Limits the query, in bytes; the server takes request lines of 4,094 (`gunicorn.conf.py`)."""

logger = logging.getLogger(__name__)


@blueprint.before_request
def check() -> Response | None:
    """Refuse a late request or one over the limit; redirect other loopback names in development."""
    refuse_late()
    if SETTINGS.get().ratelimit_enabled:
        count_call([LOGOUT], ())
    return None if request.method == "POST" else redirect_to_public_name()


blueprint.after_request(remove_dead_session)


@blueprint.get(LOGOUT_PATH)
@changes_on_get
def start() -> Response:
    """Sign the browser out if a hint shows that its own app asks; else ask its user first."""
    query = request.query_string.decode("latin-1")
    try:
        parameters = parse_parameters(query, max_bytes=MAX_QUERY_BYTES)
    except UntrustedRequestError as error:
        raise MalformedRequestError(error.description) from error
    if FIELD in parameters:
        return _return(parameters[FIELD])
    asked, visitor = read_logout(parameters), find_visitor()
    if asked.hint is not None:
        info = current_request_info()
        if sign_out_by_hint(asked.hint, visitor=visitor, request=info):
            return _leave(asked.way_back, visitor)
    return _ask(asked, visitor)


@blueprint.post(LOGOUT_PATH)
def start_by_form() -> Response:
    """Turn an app's form into the same request by GET, with which browsers send their cookie."""
    try:
        fields = read_oauth_form(request) if request.mimetype == FORM_TYPE else {}
    except OAuthError as error:
        raise MalformedRequestError(error.description) from error
    known = {name: fields[name] for name in (HINT, CLIENT, ADDRESS, STATE) if name in fields}
    length = len(urlencode(known))
    if length > MAX_QUERY_BYTES:
        # The user can still confirm; only the way back is lost.
        logger.warning("logout request too long", extra={"bytes": length})
        known = {}
    return see_other(add_query(LOGOUT_PATH, known), referrer_policy=WITHOUT_REFERRER)


def _return(token: str) -> Response:
    """Go back to the app after the page between; its address is looked up anew."""
    found = read_continuation(token)
    if found is None or found.kind is not TargetKind.LOGOUT or found.is_expired:
        return see_other(SIGNED_OUT_PATH)
    if find_visitor() is not None:
        return see_other(add_query(SIGN_OUT_PATH, {FIELD: token}))
    return _leave(find_way_back(parse_parameters(found.target, max_bytes=MAX_QUERY_BYTES)), None)


def _leave(way_back: WayBack | None, visitor: BrowserSession | None) -> Response:
    """Return the redirect of a signed-out browser.

    Args:
        visitor: whose session has just ended.
    """
    if way_back is None:
        response = see_other(SIGNED_OUT_PATH)
    else:
        state = {STATE: way_back.state} if way_back.state is not None else {}
        response = leave_to(way_back.uri, state)
    if visitor is not None:
        remove_session(response)
    return response


def _ask(asked: LogoutRequest, visitor: BrowserSession | None) -> Response:
    """Return the redirect to the page that asks; after it, the user of the hint may go back."""
    way_back, hint = asked.way_back, asked.hint
    is_own = hint is not None and visitor is not None and hint.user_id == visitor.account.id
    token = _write(way_back) if way_back is not None and is_own else None
    return see_other(add_query(SIGN_OUT_PATH, {FIELD: token} if token else {}))


def _write(way_back: WayBack) -> str | None:
    """Return the token of a way back; None if it would be too long, and it is lost then."""
    target = urlencode(way_back.parameters)
    return write_continuation(Continuation(TargetKind.LOGOUT, target))
