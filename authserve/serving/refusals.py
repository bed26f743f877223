"""Requests that the application never sees: what they are told, which is what it would say."""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from gunicorn.http.errors import (
    ExpectationFailed,
    InvalidResponseHeader,
    InvalidResponseHeaderName,
    LimitRequestHeaders,
    LimitRequestLine,
    NoMoreData,
    ParseException,
)

from authserve.http.cors import origin_headers
from authserve.http.errors import INTERNAL_ERROR, PROBLEM_TYPE, problem_document
from authserve.http.middleware import (
    CONTENT_SECURITY_POLICY,
    SECURITY_HEADERS,
    accepted_correlation_id,
)
from authserve.serving.request_buffer import MAX_HEAD_BYTES, LimitBodyError

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
REFUSALS: dict[type[Exception], Refusal] = {
    LimitBodyError: TOO_LARGE,
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


_TOLD = re.compile(rb"\n(origin|x-correlation-id|x-request-id):[ \t]*([^\r\n]*)\r", re.I)


@dataclass(frozen=True, slots=True)
class Told:
    """What a refusal repeats of its request; neither decides what that means.

    Args:
        correlation_id: the caller's own if it is harmless, else a new one.
        origin: the page's that sent it, as far as is known.
    """

    correlation_id: str
    origin: str | None


def told_by_bytes(received: bytes | bytearray) -> Told:
    """Return what a request tells that is malformed or has not arrived."""
    found = _TOLD.findall(received, 0, MAX_HEAD_BYTES)
    return _told({name.decode().upper(): value.decode("latin-1") for name, value in found})


def told_by_request(request: Any) -> Told:
    """Return what a request tells that gunicorn's parser has read, if it has."""
    return _told(dict(request.headers if request is not None else ()))


def _told(headers: dict[str, str]) -> Told:
    environ = {f"HTTP_{name.replace('-', '_')}": value for name, value in headers.items()}
    return Told(accepted_correlation_id(environ), headers.get("ORIGIN"))


def refusal_of(error: Exception) -> Refusal:
    """What to answer to an error of gunicorn's parser, or of whatever came after it."""
    is_ours = isinstance(error, InvalidResponseHeader | InvalidResponseHeaderName)
    if is_ours or not isinstance(error, ParseException | NoMoreData):
        return INTERNAL
    return REFUSALS.get(type(error), MALFORMED)


def problem_bytes(refusal: Refusal, told: Told, *, origins: Collection[str]) -> bytes:
    """A whole response, as the application would give it, after which the connection closes.

    Args:
        origins: whose pages may read it (`CORS_ORIGINS`).
    """
    status, code, detail = refusal
    document = problem_document(status, code, detail, correlation_id=told.correlation_id)
    body = json.dumps(document).encode()
    headers = (
        ("Connection", "close"),
        ("Content-Type", PROBLEM_TYPE),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("X-Correlation-ID", told.correlation_id),
        *origin_headers(told.origin, allowed=origins),
        *SECURITY_HEADERS,
        ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    )
    lines = [f"HTTP/1.1 {int(status)} {status.phrase}", *(f"{n}: {v}" for n, v in headers)]
    return "\r\n".join((*lines, "", "")).encode("ascii") + body
