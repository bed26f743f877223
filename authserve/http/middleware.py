"""Hooks around every request: correlation id, refusal of invalid input, headers, one log line."""

import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_to_bytes

from flask import Flask, Response, current_app, request
from flask.sessions import NullSession, SessionInterface

from authserve.core.clock import waited_secs
from authserve.core.crypto import random_bytes
from authserve.core.errors import (
    MalformedRequestError,
    NotFoundError,
    UnavailableError,
    ValidationFailedError,
)
from authserve.core.languages import accepted_languages_var
from authserve.core.logs import correlation_id_var
from authserve.http.json_body import check_text, read_object
from authserve.http.openapi import API_PREFIX, facts_of
from authserve.http.request_info import RequestState, begin_request, request_state

access_logger = logging.getLogger("authserve.access")

_SECOND_CREDENTIALS = re.compile(r",\s*[A-Za-z][A-Za-z0-9-]*\s+[^\s=,]")
"""Pattern of a second scheme and its credentials after a comma. It does not match a parameter such
as `realm="…"`, which has no space before its value."""

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

SECURITY_HEADERS = (
    ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
"""Headers of every response (ASVS 3.4.1 to 3.4.8)."""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Policy of every response, except HTML pages: each sets its own, as strict as possible."""

REPLACEABLE_HEADERS = (
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
)
"""Headers of every response whose view has not set them: browsers apply the last of several."""

MAX_WAIT_SECS = 1.0
"""Limits the wait of an API call or a page for a thread (chosen: with the longest wait for a hash
or a database connection, 2 s, callers get a response within 3 s). Other calls are served however
late."""


HEALTH_ROUTES = frozenset({"/healthz", "/readyz"})
"""Routes that load balancers call every few seconds; a status of 200 is logged at DEBUG only."""


class NoSessions(SessionInterface):
    """Flask sessions without cookies: each request proves its permissions anew (ASVS 3.3)."""

    _empty = NullSession()

    def open_session(self, app: Flask, request: Any) -> NullSession:
        """Return a session that is empty and cannot be written, the same for all requests."""
        return self._empty


def install_middleware(app: Flask) -> None:
    """Install the hooks around every request of `app`."""
    app.session_interface = NoSessions()
    app.before_request(_begin)
    app.after_request(_finish)
    app.teardown_request(_end)
    app.wsgi_app = partial(_serve_with_headers, app.wsgi_app)  # type: ignore[method-assign]


Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def _serve_with_headers(
    serve: Application, environ: dict[str, Any], start_response: Callable[..., Any]
) -> Iterable[bytes]:
    """Add the headers of every response at the WSGI server: Werkzeug checks each value anew."""

    def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        given = [name for name, _ in headers]
        headers += SECURITY_HEADERS
        headers += [header for header in REPLACEABLE_HEADERS if header[0] not in given]
        return start_response(status, headers, *exc_info)

    return serve(environ, start)


def _begin() -> None:
    environ = request.environ
    state = begin_request(accepted_correlation_id(environ))
    correlation_id_var.set(state.correlation_id)
    accepted_languages_var.set(environ.get("HTTP_ACCEPT_LANGUAGE", ""))
    if environ["PATH_INFO"].startswith(API_PREFIX):
        refuse_late()
    _refuse_unreadable(environ, state)


def refuse_late() -> None:
    """Refuse a request that has waited for a thread for too long.

    Under overload, all of them would otherwise wait longer and longer, until their clients give up.

    Raises:
        UnavailableError: it has waited for more than `MAX_WAIT_SECS`.
    """
    if waited_secs() > MAX_WAIT_SECS:
        raise UnavailableError


def note_outcome(outcome: str) -> None:
    """Record how a call succeeded if it can succeed in several ways, for log and metrics."""
    request_state().outcome = outcome


def accepted_correlation_id(environ: Mapping[str, Any]) -> str:
    """Return the caller's own id if it is harmless in logs and headers, or a new one."""
    for name in ("HTTP_X_CORRELATION_ID", "HTTP_X_REQUEST_ID"):
        candidate = environ.get(name)
        if candidate is not None:
            return candidate if _CORRELATION_ID.fullmatch(candidate) else random_bytes().hex()
    return random_bytes().hex()


def _refuse_unreadable(environ: Mapping[str, Any], state: RequestState) -> None:
    """Refuse input that no handler should get: text that cannot be stored, and undeclared input.

    Store the parsed body in the request's state.

    Raises:
        NotFoundError: the path has a spelling that proxies and Flask could route differently, so
            that a proxy's rules for paths could be bypassed.
        MalformedRequestError: two `Authorization` headers, which WSGI joins with a comma.
        MalformedRequestError, UnsupportedMediaTypeError, PayloadTooLargeError: see `json_body`.
        ValidationFailedError: query parameters or fields that the call does not have.
    """
    path = environ["PATH_INFO"]
    # Werkzeug's routing ignores the number of slashes at the beginning, even none. And servers
    # decode a path, so an encoded slash separates segments here.
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
        state.json_body = _read_declared_body(view)


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
    if "query" not in facts_of(view).locations:
        raise ValidationFailedError({name: ["Unknown parameter."] for name in request.args})


def _read_declared_body(view: Any) -> dict[str, Any] | None:
    facts = facts_of(view)
    body = read_object(request, accepts_form=facts.accepts_form)
    if body and "json" not in facts.locations:
        raise ValidationFailedError({name: ["Unknown field."] for name in body})
    return body


def _finish(response: Response) -> Response:
    headers, state, environ = response.headers, request_state(), request.environ
    headers.add("X-Correlation-ID", state.correlation_id)
    if environ["PATH_INFO"].startswith(API_PREFIX):
        headers["Cache-Control"] = "no-store"
    if response.status_code == HTTPStatus.NO_CONTENT:
        headers.pop("Content-Type", None)  # There is no content (RFC 9110 §8.3).
    _log(response, state, request.method)
    return response


def _end(_error: BaseException | None) -> None:
    # The thread's next log line may belong to no request.
    correlation_id_var.set(None)
    accepted_languages_var.set("")


def _log(response: Response, state: RequestState, method: str) -> None:
    rule = request.url_rule
    line = {
        "method": method,
        "route": rule.rule if rule is not None else None,
        "status": response.status_code,
        "duration_ms": round((time.perf_counter() - state.started_at) * 1000, 2),
        "user_id": state.user_id,
    }
    if state.client_id is not None:
        line["client_id"] = state.client_id
    if state.refusal_code is not None:
        line["code"] = state.refusal_code
    if state.outcome is not None:
        line["outcome"] = state.outcome
    is_routine = line["route"] in HEALTH_ROUTES and response.status_code == HTTPStatus.OK
    access_logger.log(logging.DEBUG if is_routine else logging.INFO, "request", extra=line)
