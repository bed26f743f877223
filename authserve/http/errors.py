"""Responses to errors, as RFC 9457 problem+json, and the HTTP status of each error class."""

import json
import logging
import random
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask, Response
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from authserve.core.container import Slot
from authserve.core.errors import (
    AuthenticationRequiredError,
    AuthserveError,
    ConflictError,
    ForbiddenError,
    InsufficientPermissionsError,
    InsufficientScopeError,
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
from authserve.database.circuit import loggable_error
from authserve.database.refusals import is_refusal
from authserve.http.request_info import request_state

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

FRAMEWORK_ERRORS: dict[HTTPStatus, type[AuthserveError]] = {
    HTTPStatus.BAD_REQUEST: MalformedRequestError,
    HTTPStatus.UNAUTHORIZED: AuthenticationRequiredError,
    HTTPStatus.FORBIDDEN: InsufficientPermissionsError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: PayloadTooLargeError,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: UnsupportedMediaTypeError,
    HTTPStatus.SERVICE_UNAVAILABLE: UnavailableError,
}
"""Our errors that replace Flask's and Werkzeug's own, by status; their texts name libraries."""

METHOD_NOT_ALLOWED = (
    "method_not_allowed",
    "The resource has no such method; the header Allow names those that it has.",
)
INTERNAL_ERROR = ("internal_error", "Something went wrong on our side.")
"""Code and detail of two problems that have no class of `AuthserveError`."""

RETRY_AFTER_RANGE_SECS = (1, 8)
"""Range of a random `Retry-After`, in seconds, if the error names no time: so that callers do not
all retry at once."""


ErrorPage = Callable[[int, str, Mapping[str, str]], Response | None]
"""A function that shows a problem to a person, from its status, code and headers; it returns None
if the request is a program's, which gets problem+json."""

ERROR_PAGE = Slot[ErrorPage]("error_page")
"""Filled by the feature that has pages."""


def status_of(error: AuthserveError | type[AuthserveError]) -> HTTPStatus:
    """Return the status of an error: that of its nearest parent class in `STATUSES`."""
    error_type = error if isinstance(error, type) else type(error)
    return next(STATUSES[parent] for parent in error_type.__mro__ if parent in STATUSES)


def problem_response(
    status: int,
    code: str,
    detail: str,
    *,
    members: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an RFC 9457 problem as a response, or its page where a person asked for one.

    Args:
        code: the stable name that clients switch on.
        detail: the reason, in our own words.
        members: further members (RFC 9457 §3.2).
    """
    show = ERROR_PAGE.find()
    page = show(status, code, headers or {}) if show is not None else None
    if page is not None:
        return page
    body = problem_document(status, code, detail, correlation_id=request_state().correlation_id)
    body.update(members or {})
    return Response(
        json.dumps(body), status=status, headers=dict(headers or {}), mimetype=PROBLEM_TYPE
    )


def problem_document(
    status: int, code: str, detail: str, *, correlation_id: str | None
) -> dict[str, Any]:
    """Return the members that every problem has."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "code": code,
        "detail": detail,
        "correlation_id": correlation_id,
    }


def refuse(error: AuthserveError) -> Response:
    """Return the response to one of our own errors."""
    request_state().refusal_code = error.code
    return problem_response(
        status_of(error),
        error.code,
        error.detail,
        members=error.members,
        headers=refusal_headers(error),
    )


def refusal_headers(error: AuthserveError) -> dict[str, str]:
    """Return the headers that an error's response needs besides its body."""
    if isinstance(error, UnauthenticatedError | InsufficientScopeError):
        return {"WWW-Authenticate": f"Bearer {error.challenge}".rstrip()}
    if isinstance(error, RetryableError):
        seconds = error.retry_after_secs
        if seconds is None:
            seconds = random.randint(*RETRY_AFTER_RANGE_SECS)  # noqa: S311 - spreads load
        return {"Retry-After": str(max(1, seconds))}
    return {}


def register_error_handlers(app: Flask) -> None:
    """Make `app` answer every exception with a problem, including those of libraries."""
    app.register_error_handler(AuthserveError, refuse)
    app.register_error_handler(HTTPException, _refuse_for_framework)
    app.register_error_handler(DBAPIError, _refuse_for_database)
    app.register_error_handler(PoolTimeoutError, _refuse_for_database)
    app.register_error_handler(Exception, _fail)


def _refuse_for_framework(error: HTTPException) -> Response:
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        return _refuse_status(status, *METHOD_NOT_ALLOWED, headers={"Allow": allowed})
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        return _refuse_status(status, *INTERNAL_ERROR)
    if status in FRAMEWORK_ERRORS:
        return refuse(FRAMEWORK_ERRORS[status]())
    return _refuse_status(status, status.name.lower(), f"{status.phrase}.")


def _refuse_status(
    status: HTTPStatus, code: str, detail: str, *, headers: Mapping[str, str] | None = None
) -> Response:
    request_state().refusal_code = code
    return problem_response(status, code, detail, headers=headers)


def _refuse_for_database(error: Exception) -> Response:
    """Return 503 if the database cannot serve now, and 500 if our statement is wrong."""
    if isinstance(error, DBAPIError) and not is_refusal(error):
        return _fail(error)
    logger.error("database unavailable", exc_info=loggable_error(error))
    return refuse(UnavailableError())


def _fail(error: Exception) -> Response:
    logger.error("unhandled error", exc_info=error)
    return _refuse_status(HTTPStatus.INTERNAL_SERVER_ERROR, *INTERNAL_ERROR)
