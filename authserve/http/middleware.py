"""Around every request: correlation id, refusal of unreadable input, headers, one log line."""

import logging
import re
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_to_bytes
from uuid import uuid4

from flask import Flask, Response, current_app, g, request
from flask.sessions import NullSession, SessionInterface

from authserve.core.errors import (
    MalformedRequestError,
    NotFoundError,
    UnavailableError,
    ValidationFailedError,
)
from authserve.core.logs import correlation_id_var
from authserve.core.queue_time import waited_secs
from authserve.http.json_body import (
    FORM_TYPE,
    JSON_TYPE,
    check_text,
    parse_form,
    parse_json,
    read_body,
    require_media_type,
)
from authserve.http.openapi import API_PREFIX, accepts_form, declares_body, declares_query

access_logger = logging.getLogger("authserve.access")

_SECOND_CREDENTIALS = re.compile(r",\s*[A-Za-z][A-Za-z0-9-]*\s+[^\s=,]")
"""A scheme and its credentials after a comma; a parameter, `realm="…"`, has no space inside."""

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

SECURITY_HEADERS = (
    ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
"""On every response (ASVS 3.4.1 to 3.4.8)."""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""On every response as well, but a page of HTML sets its own, as strict as it can."""


MAX_WAIT_SECS = 1.0
"""For a thread (chosen: together with the longest wait for a hash or a connection, 2 s, callers
have an answer within three). What is no call of the API is answered however late it is."""


HEALTH_ROUTES = frozenset({"/healthz", "/readyz"})
"""Load balancers call these every few seconds; what goes well is logged at DEBUG alone."""


class NoSessions(SessionInterface):
    """No cookie is read or set: what a caller may do, each request proves anew (ASVS 3.3)."""

    _nobody = NullSession()

    def open_session(self, app: Flask, request: Any) -> NullSession:
        """The session that can be neither read nor written, the same for all."""
        return self._nobody


def install_middleware(app: Flask) -> None:
    """Wrap every request of `app`."""
    app.session_interface = NoSessions()
    app.before_request(_begin)
    app.before_request(_refuse_late)
    app.before_request(_refuse_unreadable)
    app.after_request(_finish)
    app.teardown_request(_end)


def _begin() -> None:
    # Where an application context is open around them, several requests share one `g`.
    g.authentication = g.user_id = g.json_body = g.refusal_code = g.outcome = None
    g.started_at = time.perf_counter()
    correlation_id = accepted_correlation_id(request.environ)
    g.correlation_id = correlation_id
    correlation_id_var.set(correlation_id)


def _refuse_late() -> None:
    """Turn away a call that has waited for too long, while more come than can be served.

    Otherwise all would wait longer and longer, until nobody waits for any answer.

    Raises:
        UnavailableError: it has.
    """
    if waited_secs() > MAX_WAIT_SECS and request.environ["PATH_INFO"].startswith(API_PREFIX):
        raise UnavailableError


def note_outcome(outcome: str) -> None:
    """Say how a call succeeded that can do so in several ways, for the log and the metrics."""
    g.outcome = outcome


def accepted_correlation_id(environ: Mapping[str, Any]) -> str:
    """Return the caller's own id if it is harmless in logs and headers, or a new one."""
    for name in ("HTTP_X_CORRELATION_ID", "HTTP_X_REQUEST_ID"):
        candidate = environ.get(name)
        if candidate is not None:
            return candidate if _CORRELATION_ID.fullmatch(candidate) else uuid4().hex
    return uuid4().hex


def _refuse_unreadable() -> None:
    """Refuse what no handler should see: text nobody can store, and undeclared input.

    Raises:
        NotFoundError: the path is another call's, spelt so that proxies could take it for one
            that they let through.
        MalformedRequestError: two `Authorization` headers, which WSGI joins with a comma.
        MalformedRequestError, UnsupportedMediaTypeError, PayloadTooLargeError: see `json_body`.
        ValidationFailedError: query parameters or fields that the call does not have.
    """
    environ = request.environ
    path = environ["PATH_INFO"]
    # Werkzeug's routing looks past the slashes at the beginning, be they many or none; and an
    # encoded slash is one between segments by now, as servers decode a path.
    if path[:2] == "//" or path[:1] != "/" or _has_encoded_slash(environ.get("RAW_URI", "")):
        raise NotFoundError
    if not path.startswith(API_PREFIX) or request.routing_exception is not None:
        return
    authorization = environ.get("HTTP_AUTHORIZATION", "")
    if "," in authorization and _SECOND_CREDENTIALS.search(authorization):
        raise MalformedRequestError("Send one Authorization header.")
    check_text(path)
    query = environ.get("QUERY_STRING")
    length = environ.get("CONTENT_LENGTH")
    has_body = (length and length != "0") or "HTTP_TRANSFER_ENCODING" in environ
    if not query and not has_body:
        return
    view = current_app.view_functions[request.endpoint or ""]
    if query:
        _check_query(view, query)
    if has_body:
        _check_body(view)


def _has_encoded_slash(target: str) -> bool:
    return "%2f" in target.partition("?")[0].lower()


def _check_query(view: Any, query: str) -> None:
    try:
        unquote_to_bytes(query.encode("latin-1")).decode()
    except UnicodeDecodeError as error:
        raise MalformedRequestError("The query is not UTF-8.") from error
    for name, values in request.args.lists():
        for text in (name, *values):
            check_text(text)
        if len(values) > 1:
            raise ValidationFailedError({name: ["Given more than once."]})
    if not declares_query(view):
        raise ValidationFailedError({name: ["Unknown parameter."] for name in request.args})


def _check_body(view: Any) -> None:
    raw = read_body(request)
    if not raw:
        return
    require_media_type(request, JSON_TYPE, *([FORM_TYPE] if accepts_form(view) else []))
    body = parse_form(raw) if request.mimetype == FORM_TYPE else parse_json(raw)
    if not isinstance(body, dict):
        raise MalformedRequestError("The body is not a JSON object.")
    if body and not declares_body(view):
        raise ValidationFailedError({name: ["Unknown field."] for name in body})
    g.json_body = body


def _finish(response: Response) -> Response:
    headers = response.headers
    headers.add("X-Correlation-ID", g.correlation_id)
    for name, value in SECURITY_HEADERS:
        headers.add(name, value)
    if "Content-Security-Policy" not in headers:
        headers.add("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    if request.environ["PATH_INFO"].startswith(API_PREFIX):
        headers["Cache-Control"] = "no-store"
    if response.status_code == HTTPStatus.NO_CONTENT:
        headers.pop("Content-Type", None)  # There is nothing of any type (RFC 9110 §8.3).
    _log(response)
    return response


def _end(_error: BaseException | None) -> None:
    # The next line that this thread logs may belong to no request.
    correlation_id_var.set(None)


def _log(response: Response) -> None:
    rule = request.url_rule
    line = {
        "method": request.method,
        "route": rule.rule if rule is not None else None,
        "status": response.status_code,
        "duration_ms": round((time.perf_counter() - g.started_at) * 1000, 2),
        "user_id": g.user_id,
    }
    if g.refusal_code is not None:
        line["code"] = g.refusal_code
    if g.outcome is not None:
        line["outcome"] = g.outcome
    is_routine = line["route"] in HEALTH_ROUTES and response.status_code == HTTPStatus.OK
    access_logger.log(logging.DEBUG if is_routine else logging.INFO, "request", extra=line)
