"""Refusals of requests that never reach the application, in the form that it would use."""

import json
import re
from collections.abc import Collection
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

from authserve.core.frozen import frozen
from authserve.http.cors import origin_headers
from authserve.http.errors import INTERNAL_ERROR, PROBLEM_TYPE, problem_document
from authserve.http.middleware import (
    REPLACEABLE_HEADERS,
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
"""Refusals by error of gunicorn's parser; any other error of the parser becomes `MALFORMED`."""


_KNOWN = re.compile(rb"\n(origin|x-correlation-id|x-request-id):[ \t]*([^\r\n]*)\r", re.I)


@frozen()
class KnownHeaders:
    """The headers of a refused request that its refusal needs.

    Args:
        correlation_id: the caller's own if it is harmless, else a new one.
        origin: the `Origin` header, or None if there is none or it has not arrived.
    """

    correlation_id: str
    origin: str | None


def known_in_bytes(received: bytes | bytearray) -> KnownHeaders:
    """Return the headers that a refusal needs from the bytes of an unparsed request."""
    found = _KNOWN.findall(received, 0, MAX_HEAD_BYTES)
    return _known({name.decode().upper(): value.decode("latin-1") for name, value in found})


def known_in_request(request: Any) -> KnownHeaders:
    """Return the headers that a refusal needs from gunicorn's parsed request, or from None."""
    return _known(dict(request.headers if request is not None else ()))


def _known(headers: dict[str, str]) -> KnownHeaders:
    environ = {f"HTTP_{name.replace('-', '_')}": value for name, value in headers.items()}
    return KnownHeaders(accepted_correlation_id(environ), headers.get("ORIGIN"))


def refusal_of(error: Exception) -> Refusal:
    """Return the refusal for an error in parsing a request; for any other error, `INTERNAL`."""
    is_ours = isinstance(error, InvalidResponseHeader | InvalidResponseHeaderName)
    if is_ours or not isinstance(error, ParseException | NoMoreData):
        return INTERNAL
    return REFUSALS.get(type(error), MALFORMED)


def problem_bytes(refusal: Refusal, known: KnownHeaders, *, origins: Collection[str]) -> bytes:
    """Return a whole response in the application's form; it closes the connection.

    Args:
        origins: origins whose pages may read it (`CORS_ORIGINS`).
    """
    status, code, detail = refusal
    document = problem_document(status, code, detail, correlation_id=known.correlation_id)
    body = json.dumps(document).encode()
    headers = (
        ("Connection", "close"),
        ("Content-Type", PROBLEM_TYPE),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("X-Correlation-ID", known.correlation_id),
        *origin_headers(known.origin, allowed=origins),
        *SECURITY_HEADERS,
        *REPLACEABLE_HEADERS,
    )
    lines = [f"HTTP/1.1 {int(status)} {status.phrase}", *(f"{n}: {v}" for n, v in headers)]
    return "\r\n".join((*lines, "", "")).encode("ascii") + body
