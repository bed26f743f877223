"""The call by which a reverse proxy asks whether a request may pass."""

from http import HTTPStatus
from typing import NoReturn

from flask import Response, request

from authserve.core.clock import now
from authserve.forwardauth.blueprint import blueprint, request_origin
from authserve.forwardauth.check import Check, check_request
from authserve.forwardauth.cookies import (
    has_app_cookie,
    hold_flow_secret,
    read_app_cookie,
    read_flow_secret,
)
from authserve.forwardauth.errors import NotOpenError, SignInRequiredError
from authserve.forwardauth.identity import identity_headers
from authserve.forwardauth.policy import Verdict, return_path
from authserve.forwardauth.queries import ProxiedSession
from authserve.forwardauth.sign_in import begin_sign_in
from authserve.http.limits import count_call
from authserve.http.middleware import note_outcome
from authserve.http.request_info import accepts_html, request_state
from authserve.ratelimit.policy import REFUSED_COOKIES
from authserve.settings.model import SETTINGS

CHECK_PATH = "/forward-auth"


@blueprint.get(CHECK_PATH)
def check() -> Response:
    """Answer 200 with the user's headers, or refuse.

    A person's page is led to the sign-in: by a redirect, or for nginx under `?mode=401` by 401 with
    the same headers. A program gets 401, or 403 from an application that is not open to its user.
    """
    origin = request_origin()
    cookie = read_app_cookie(request.cookies, origin)
    found = check_request(origin, cookie, now=now())
    if found.verdict is Verdict.ALLOWED and found.session is not None:
        return _allow(found.session)
    if found.verdict is Verdict.SIGNED_OUT and has_app_cookie(request.cookies, origin):
        _count_refusal()
    if not _is_page():
        _refuse(found.verdict)
    return _redirect_to_sign_in(found, origin)


def _allow(session: ProxiedSession) -> Response:
    note_outcome("allowed")
    request_state().user_id = str(session.row.id)
    return Response(headers=identity_headers(session), mimetype="text/plain")


def _count_refusal() -> None:
    """Count a refused cookie.

    Raises:
        RateLimitedError: the address sends too many.
    """
    if SETTINGS.get().ratelimit_enabled:
        count_call([REFUSED_COOKIES], ())


def _is_page() -> bool:
    """Return True if a person looks at the answer, so that a redirect helps."""
    mode = request.headers.get("Sec-Fetch-Mode")
    return mode == "navigate" if mode is not None else accepts_html()


def _refuse(verdict: Verdict) -> NoReturn:
    raise NotOpenError if verdict is Verdict.NOT_OPEN else SignInRequiredError


def _redirect_to_sign_in(found: Check, origin: str) -> Response:
    """Return the way to authorize, which also explains why an application stays closed."""
    note_outcome("led_to_sign_in")
    headers = request.headers
    path = return_path(
        headers.get("X-Forwarded-Method", "GET"), headers.get("X-Forwarded-Uri", "/")
    )
    secret = read_flow_secret(request.cookies, origin)
    started = begin_sign_in(found.client_id, origin=origin, path=path, secret=secret, now=now())
    is_nginx = request.args.get("mode") == "401"
    response = Response(
        status=HTTPStatus.UNAUTHORIZED if is_nginx else HTTPStatus.FOUND,
        headers={"Location": started.location},
        mimetype="text/plain",
    )
    # nginx passes on one cookie of such an answer.
    hold_flow_secret(response, origin, started.secret)
    return response
