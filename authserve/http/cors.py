"""Calls by pages of other origins, for those that the operator has listed (WHATWG Fetch, CORS).

A page of another origin may read an answer only if that says so, and browsers ask beforehand
whether a call may be made at all (a preflight). Tokens travel in `Authorization`, which no browser
adds by itself, so there are no credentials to allow; a page that is not listed can still send what
a form could, which the API refuses for its content type (ASVS 3.5.1, 3.5.2).
"""

from collections.abc import Collection
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
"""All that a call may need beside what browsers send anyway, and what libraries add to each call
without asking: tracing (W3C Trace Context, Baggage, Sentry) and common HTTP clients. The service
trusts none of them."""

EXPOSED_HEADERS = (
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
    "WWW-Authenticate",
    "X-Correlation-ID",
)
"""All that a page may want to know of an answer beside its body."""

MAX_AGE_SECS = 7_200
"""How long a browser need not ask again; Chromium keeps no longer. Who leaves the list is refused
at once all the same, since each answer names its origin itself."""


def install_cors(app: Flask, *, origins: Collection[str]) -> None:
    """Let pages of `origins` call every route of `app`, and read whatever it answers.

    Args:
        origins: as browsers send them; compared as they are (ASVS 3.4.2). Without any, nothing is
            done at any request.
    """
    if not origins:
        return
    allowed = frozenset(origins)
    app.before_request(partial(_answer_preflight, allowed))
    app.after_request(partial(_name_origin, allowed))


def _answer_preflight(allowed: frozenset[str]) -> Response | None:
    """The answer to a listed origin's question about a route that there is; nothing is done.

    Routing has refused the question before this, as no route has OPTIONS, and knows its methods.
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
    """Return the headers by which a page of `origin` may read an answer, if it may.

    Args:
        origin: as the browser sent it.
        allowed: the listed origins; without any, no header is needed.
    """
    if not allowed:
        return []
    # On every answer, or a cache could keep one page's answer for another's.
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
