"""Every refusal as RFC 9457 problem+json; the one place that knows statuses."""

import json
import logging
import random
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException

from authserve.core.errors import (
    AuthserveError,
    ConflictError,
    ForbiddenError,
    InvalidTokenForUseError,
    MalformedRequestError,
    NotFoundError,
    PayloadTooLargeError,
    RetryableError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedMediaTypeError,
    ValidationFailedError,
)

logger = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"

STATUSES: dict[type[AuthserveError], HTTPStatus] = {
    MalformedRequestError: HTTPStatus.BAD_REQUEST,
    InvalidTokenForUseError: HTTPStatus.BAD_REQUEST,
    UnauthenticatedError: HTTPStatus.UNAUTHORIZED,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    PayloadTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedMediaTypeError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    ValidationFailedError: HTTPStatus.UNPROCESSABLE_ENTITY,
    ThrottledError: HTTPStatus.TOO_MANY_REQUESTS,
    UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
}

FRAMEWORK_CODES = {
    HTTPStatus.BAD_REQUEST: "malformed_request",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "payload_too_large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "unsupported_media_type",
    HTTPStatus.INTERNAL_SERVER_ERROR: "internal_error",
}
"""Codes of what Flask and Werkzeug refuse by themselves."""

RETRY_AFTER_RANGE_SECS = (1, 5)
"""Where an error names no time, callers are spread, so that they do not return all at once."""


def status_of(error: AuthserveError | type[AuthserveError]) -> HTTPStatus:
    """The status of an error: that of the nearest kind among its parents."""
    error_type = error if isinstance(error, type) else type(error)
    return next(STATUSES[parent] for parent in error_type.__mro__ if parent in STATUSES)


def problem_response(
    status: int,
    code: str,
    detail: str,
    *,
    errors: Mapping[str, list[str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An RFC 9457 problem.

    Args:
        code: the stable name that clients switch on.
        detail: what went wrong, in words of ours.
        errors: field name to messages, where fields are at fault.
    """
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "code": code,
        "detail": detail,
        "correlation_id": g.get("correlation_id"),
    }
    if errors:
        body["errors"] = errors
    return Response(
        json.dumps(body), status=status, headers=dict(headers or {}), mimetype=PROBLEM_TYPE
    )


def refuse(error: AuthserveError) -> Response:
    """The response to one of our own errors."""
    g.refusal_code = error.code
    return problem_response(
        status_of(error),
        error.code,
        error.detail,
        errors=getattr(error, "errors", None),
        headers=_headers(error),
    )


def _headers(error: AuthserveError) -> dict[str, str]:
    if isinstance(error, UnauthenticatedError):
        return {"WWW-Authenticate": f"Bearer {error.challenge}".rstrip()}
    if isinstance(error, RetryableError):
        seconds = error.retry_after_secs
        if seconds is None:
            seconds = random.randint(*RETRY_AFTER_RANGE_SECS)  # noqa: S311 - spreads load
        return {"Retry-After": str(max(1, seconds))}
    return {}


def register_error_handlers(app: Flask) -> None:
    """Make `app` answer every failure with a problem, whoever raises it."""
    app.register_error_handler(AuthserveError, refuse)
    app.register_error_handler(HTTPException, _refuse_for_framework)
    app.register_error_handler(DBAPIError, _refuse_for_database)
    app.register_error_handler(PoolTimeoutError, _refuse_for_database)
    app.register_error_handler(Exception, _fail)


def _refuse_for_framework(error: HTTPException) -> Response:
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    code = FRAMEWORK_CODES.get(status, status.name.lower())
    g.refusal_code = code
    # Werkzeug's own sentences can hold names of libraries; the phrase of the status cannot.
    kept = {name: value for name, value in error.get_headers() if name == "Allow"}
    return problem_response(status, code, f"{status.phrase}.", headers=kept)


def _refuse_for_database(error: Exception) -> Response:
    """The database is away, overloaded or too slow: an honest 503. Anything else is a fault."""
    if not isinstance(error, OperationalError | PoolTimeoutError) and not getattr(
        error, "connection_invalidated", False
    ):
        return _fail(error)
    logger.error("database unavailable", exc_info=error)
    return refuse(UnavailableError())


def _fail(error: Exception) -> Response:
    logger.error("unhandled error", exc_info=error)
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    g.refusal_code = FRAMEWORK_CODES[status]
    return problem_response(status, FRAMEWORK_CODES[status], "Something went wrong on our side.")
