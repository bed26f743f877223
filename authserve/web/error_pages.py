"""Refusals and failures as pages: what happened, what to do, a way on, and the correlation id."""

from collections.abc import Mapping
from http import HTTPStatus

from flask import Response, request

from authserve.http.request_info import accepts_html, request_state
from authserve.settings.model import SETTINGS
from authserve.web.languages import mark, settle_without_database, translate
from authserve.web.origin import ForeignFormError, public_origin, read_form_origin
from authserve.web.rendering import render

PROGRAM_PATHS = (
    "/api/",
    "/.well-known/",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/forward-auth",
)
"""Beginnings of paths that programs call; they get problem+json for every `Accept`."""

Words = tuple[str, str]

_WORDS: dict[int, Words] = {
    HTTPStatus.FORBIDDEN: (
        mark("You may not open this page"),
        mark("Your account does not have the permission for it. Ask the operator of this service."),
    ),
    HTTPStatus.NOT_FOUND: (
        mark("There is no such page"),
        mark("The address may be mistyped, or the page may have moved."),
    ),
    HTTPStatus.METHOD_NOT_ALLOWED: (
        mark("This page cannot be opened like that"),
        mark("Begin again on the page before this one."),
    ),
    HTTPStatus.TOO_MANY_REQUESTS: (
        mark("There were too many attempts"),
        mark("Wait a minute, then go back and try again."),
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        mark("This takes longer than it should"),
        mark("The service cannot answer right now. Nothing is lost: wait a moment, then reload."),
    ),
}

_UNREADABLE: Words = (
    mark("This form could not be read"),
    mark("Nothing was changed. Go back, reload the page and try again."),
)

_FAILED: Words = (
    mark("Something went wrong on our side"),
    mark("Try again. If it happens again, give the operator the reference below."),
)


def show_error(status: int, code: str, headers: Mapping[str, str]) -> Response | None:
    """Return the page of a problem; None if the request is a program's.

    Args:
        code: of the error.
        headers: those of the problem, such as `Retry-After`.
    """
    if request.path.startswith(PROGRAM_PATHS) or not accepts_html():
        return None
    settle_without_database()
    title, advice = _words(status, code)
    return render(
        "error.html",
        status=status,
        headers=headers,
        # The switch needs the session, which a page of a failure must not ask the database for.
        has_switch=False,
        title=title,
        advice=advice,
        details=_details(code),
        correlation_id=request_state().correlation_id,
    )


def _words(status: int, code: str) -> Words:
    if code == ForeignFormError.code:
        text = mark(
            "This form did not come from %(host)s. Nothing was changed. Go back, reload and try "
            "again."
        )
        host = public_origin().partition("://")[2]
        return translate(mark("This form was not accepted")), translate(text, host=host)
    is_failure = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    title, advice = _WORDS.get(status, _FAILED if is_failure else _UNREADABLE)
    return translate(title), translate(advice)


def _details(code: str) -> list[str]:
    """Return what an operator needs to find a wrong proxy or `PUBLIC_URL`, outside production."""
    if code != ForeignFormError.code or SETTINGS.get().is_production:
        return []
    found = read_form_origin()
    return [
        f"Origin: {found.origin or '–'}",
        f"Sec-Fetch-Site: {found.site or '–'}",
        f"PUBLIC_URL: {public_origin()}",
    ]
