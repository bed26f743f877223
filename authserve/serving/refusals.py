"""Requests that the application never sees: what they are told, which is what it would say."""

import json
from http import HTTPStatus

from gunicorn.http.errors import (
    ExpectationFailed,
    InvalidResponseHeader,
    InvalidResponseHeaderName,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
)

from authserve.http.errors import INTERNAL_ERROR, PROBLEM_TYPE, problem_document
from authserve.http.middleware import CONTENT_SECURITY_POLICY, SECURITY_HEADERS

Refusal = tuple[HTTPStatus, str, str]
"""Status, code and detail of a problem."""

MALFORMED: Refusal = (
    HTTPStatus.BAD_REQUEST,
    "malformed_request",
    "The request is not well-formed HTTP/1.1.",
)
TIMED_OUT: Refusal = (
    HTTPStatus.REQUEST_TIMEOUT,
    "request_timeout",
    "The request took too long to arrive.",
)
INTERNAL: Refusal = (HTTPStatus.INTERNAL_SERVER_ERROR, *INTERNAL_ERROR)
TOO_LARGE: Refusal = (
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "payload_too_large",
    "The request is larger than any that is read.",
)
HEAD_TOO_LARGE: Refusal = (
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "request_header_fields_too_large",
    "The header fields are too many or too long.",
)
REFUSALS: dict[type[ParseException], Refusal] = {
    LimitRequestHeaders: HEAD_TOO_LARGE,
    LimitRequestLine: (
        HTTPStatus.REQUEST_URI_TOO_LONG,
        "request_uri_too_long",
        "The request line is too long.",
    ),
    ExpectationFailed: (
        HTTPStatus.EXPECTATION_FAILED,
        "expectation_failed",
        "The only expectation that can be met is 100-continue.",
    ),
}
"""What gunicorn refuses by itself, before the application sees anything, and not as `MALFORMED`."""


def refusal_of(error: Exception) -> Refusal:
    """What to answer to an error of gunicorn's parser, or of whatever came after it."""
    is_ours = isinstance(error, InvalidResponseHeader | InvalidResponseHeaderName)
    if is_ours or not isinstance(error, ParseException):
        return INTERNAL
    return REFUSALS.get(type(error), MALFORMED)


def problem_bytes(refusal: Refusal, correlation_id: str) -> bytes:
    """A whole response, as the application would give it, after which the connection closes."""
    status, code, detail = refusal
    document = problem_document(status, code, detail, correlation_id=correlation_id)
    body = json.dumps(document).encode()
    headers = (
        ("Connection", "close"),
        ("Content-Type", PROBLEM_TYPE),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("X-Correlation-ID", correlation_id),
        *SECURITY_HEADERS,
        ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    )
    lines = [f"HTTP/1.1 {int(status)} {status.phrase}", *(f"{n}: {v}" for n, v in headers)]
    return "\r\n".join((*lines, "", "")).encode("ascii") + body
