"""CORS: calls by pages of other origins that the operator has listed (WHATWG Fetch).

A page of another origin can read a response only if its headers allow that. Before most calls,
browsers ask for permission (a preflight). Tokens are sent in `Authorization`, which no browser adds
by itself, so there are no credentials to allow. A page that is not listed can still send what an
HTML form can send; the API refuses that for its content type (ASVS 3.5.1, 3.5.2).
"""

from collections.abc import Callable, Collection
from functools import partial

from flask import Flask, Response, request
from werkzeug.exceptions import MethodNotAllowed

ALLOWED_HEADERS = (
    "Authorization",
    "Baggage",
    "Cache-Control",
    "Content-Type",
    "Sentry-Trace",
    "Traceparent",
    "Tracestate",
    "X-Correlation-ID",
    "X-Request-ID",
    "X-Requested-With",
)
"""Request headers that a page may set: those that calls need, and those that libraries add to each
call by themselves: tracing (W3C Trace Context, Baggage, Sentry) and common HTTP clients. The
service does not trust them."""

EXPOSED_HEADERS = (
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
    "WWW-Authenticate",
    "X-Correlation-ID",
)
"""Response headers that a page may read."""

MAX_AGE_SECS = 7_200
"""Time for which a browser caches a preflight; Chromium's maximum. A page whose origin was removed
from the list can still read nothing: each response names the allowed origin itself."""


def install_cors(app: Flask, *, origins: Collection[str]) -> None:
    """Allow pages of `origins` to call every route of `app` and to read its responses.

    Args:
        origins: origins as browsers send them, compared exactly (ASVS 3.4.2). If there are none,
            no hook is installed.
    """
    if not origins:
        return
    allowed = frozenset(origins)
    app.before_request(partial(_answer_preflight, allowed))
    app.after_request(partial(_name_origin, allowed))


def install_cors_of_paths(
    app: Flask, *, paths: Collection[str], find_origins: Callable[[], Collection[str]]
) -> None:
    """Allow pages of some origins to call some paths of `app` and to read their responses.

    Args:
        find_origins: returns the origins in force; called only for requests of pages.
    """

    def find_allowed() -> frozenset[str]:
        return frozenset(find_origins()) if "Origin" in request.headers else frozenset()

    def answer_preflight() -> Response | None:
        return _answer_preflight(find_allowed()) if request.path in paths else None

    def name_origin(response: Response) -> Response:
        if request.path in paths:
            # Also without an origin: a cache would serve that response to pages.
            response.vary.add("Origin")
            return _name_origin(find_allowed(), response)
        return response

    app.before_request(answer_preflight)
    app.after_request(name_origin)


def _answer_preflight(allowed: frozenset[str]) -> Response | None:
    """Return the response to a listed origin's preflight for an existing route, else None.

    No route has OPTIONS, so routing has already refused it, with the route's methods in its error.
    """
    refusal = request.routing_exception
    if request.method != "OPTIONS" or not isinstance(refusal, MethodNotAllowed):
        return None
    headers = request.headers
    if headers.get("Origin") not in allowed or "Access-Control-Request-Method" not in headers:
        return None
    response = Response(status=204)
    del response.headers["Content-Type"]
    response.headers["Access-Control-Allow-Methods"] = ", ".join(
        sorted(refusal.valid_methods or ())
    )
    response.headers["Access-Control-Allow-Headers"] = ", ".join(ALLOWED_HEADERS)
    response.headers["Access-Control-Max-Age"] = str(MAX_AGE_SECS)
    return response


def origin_headers(origin: str | None, *, allowed: Collection[str]) -> list[tuple[str, str]]:
    """Return the headers that let a page of `origin` read a response, if it is listed.

    Args:
        origin: the `Origin` header.
        allowed: the listed origins; if there are none, no header is needed.
    """
    if not allowed:
        return []
    # On every response, or a cache could serve one page's response to another page.
    headers = [("Vary", "Origin")]
    if origin is not None and origin in allowed:
        headers.append(("Access-Control-Allow-Origin", origin))
        headers.append(("Access-Control-Expose-Headers", ", ".join(EXPOSED_HEADERS)))
    return headers


def _name_origin(allowed: frozenset[str], response: Response) -> Response:
    for name, value in origin_headers(request.headers.get("Origin"), allowed=allowed):
        if name == "Vary":
            response.vary.add(value)
        else:
            response.headers[name] = value
    return response
