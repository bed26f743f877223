"""Around every request: correlation id, refusal of unreadable input, headers, one log line."""

import logging
import re
import time
from typing import Any
from uuid import uuid4

from flask import Flask, Response, current_app, g, request

from authserve.core.errors import MalformedRequestError, ValidationFailedError
from authserve.core.logs import correlation_id_var
from authserve.http.json_body import check_text, read_form, read_json_body
from authserve.http.openapi import FORM_TYPE, accepts_form, declares_body, declares_query

access_logger = logging.getLogger("authserve.access")

API_PREFIX = "/api/"

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

SECURITY_HEADERS = {
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
}
"""On every response (ASVS 3.4.1 to 3.4.8); a page of HTML sets its own, as strict as it can."""

_HEADER_ITEMS = tuple(SECURITY_HEADERS.items())


def install_middleware(app: Flask) -> None:
    """Wrap every request of `app`."""
    app.before_request(_begin)
    app.before_request(_refuse_unreadable)
    app.after_request(_finish)


def _begin() -> None:
    g.started_at = time.perf_counter()
    g.correlation_id = _accepted_correlation_id()
    correlation_id_var.set(g.correlation_id)


def _accepted_correlation_id() -> str:
    """The caller's own id if it is harmless in logs and headers, or a new one."""
    environ = request.environ
    for name in ("HTTP_X_CORRELATION_ID", "HTTP_X_REQUEST_ID"):
        candidate = environ.get(name)
        if candidate is not None:
            return candidate if _CORRELATION_ID.fullmatch(candidate) else uuid4().hex
    return uuid4().hex


def _refuse_unreadable() -> None:
    """Refuse what no handler should see: text nobody can store, and undeclared input.

    Raises:
        MalformedRequestError, UnsupportedMediaTypeError, PayloadTooLargeError: see `json_body`.
        ValidationFailedError: query parameters or fields that the call does not have.
    """
    environ = request.environ
    if not environ["PATH_INFO"].startswith(API_PREFIX) or request.routing_exception is not None:
        return
    check_text(request.path)
    view = _view()
    if environ.get("QUERY_STRING"):
        _check_query(view)
    if _has_body():
        _check_body(view)


def _view() -> Any:
    return current_app.view_functions[request.endpoint or ""]


def _check_query(view: Any) -> None:
    for name, values in request.args.lists():
        for text in (name, *values):
            check_text(text)
        if len(values) > 1:
            raise ValidationFailedError({name: ["Given more than once."]})
    if not declares_query(view):
        raise ValidationFailedError({name: ["Unknown parameter."] for name in request.args})


def _has_body() -> bool:
    return bool(request.content_length) or "chunked" in request.headers.get("Transfer-Encoding", "")


def _check_body(view: Any) -> None:
    if request.mimetype == FORM_TYPE and accepts_form(view):
        g.json_body = read_form(request)
    else:
        g.json_body = read_json_body(request)
    if not isinstance(g.json_body, dict):
        raise MalformedRequestError("The body is not a JSON object.")
    if g.json_body and not declares_body(view):
        raise ValidationFailedError({name: ["Unknown field."] for name in g.json_body})


def _finish(response: Response) -> Response:
    headers = response.headers
    headers["X-Correlation-ID"] = g.correlation_id
    for name, value in _HEADER_ITEMS:
        headers.setdefault(name, value)
    if request.environ["PATH_INFO"].startswith(API_PREFIX):
        headers["Cache-Control"] = "no-store"
    _log(response)
    return response


def _log(response: Response) -> None:
    rule = request.url_rule
    line = {
        "method": request.method,
        "route": rule.rule if rule is not None else None,
        "status": response.status_code,
        "duration_ms": round((time.perf_counter() - g.started_at) * 1000, 2),
        "user_id": g.get("user_id"),
    }
    code = g.get("refusal_code")
    if code is not None:
        line["code"] = code
    access_logger.info("request", extra=line)
