"""Rate limits of views, and the response headers that report them.

The headers are those that most clients know (draft-ietf-httpapi-ratelimit-headers-03):
`RateLimit-Limit`, `RateLimit-Remaining`, and `RateLimit-Reset` in seconds. They report the caller's
limit that has the fewest calls left.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from typing import Any, TypeVar, cast

from flask import Response, after_this_request

from authserve.http.openapi import Blueprint, limited_by
from authserve.http.request_info import client_address, request_state
from authserve.ratelimit.counters import hit_limit
from authserve.ratelimit.errors import RateLimitedError
from authserve.ratelimit.policy import CountedBy, Limit, find_network
from authserve.ratelimit.storage import Window
from authserve.settings.model import SETTINGS

ViewT = TypeVar("ViewT", bound=Callable[..., Any])


def limited(*limits: Limit) -> Callable[[ViewT], ViewT]:
    """Count the calls of a view and refuse those over a limit; put it next to the view itself.

    The decorators above it run first, so the caller is authenticated and the body is valid. The
    view, which hashes or sends, has not run.

    Args:
        limits: counted in this order; if one refuses, those after it count nothing. A limit by
            email address or device takes that from the view's first argument.
    """

    def decorator(view: ViewT) -> ViewT:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if SETTINGS.get().ratelimit_enabled:
                count_call(limits, args)
            return view(*args, **kwargs)

        documented = limited_by(limits)(Blueprint.refuses(RateLimitedError)(guarded))
        return cast(ViewT, documented)

    return decorator


def noting_limits(*limits: Limit) -> Callable[[ViewT], ViewT]:
    """Count the calls of a view, and pass it `is_over_limit` in its body; refuse none.

    For calls whose answer must not depend on what other clients have asked for.

    Args:
        limits: see `limited`.
    """

    def decorator(view: ViewT) -> ViewT:
        @wraps(view)
        def counted(body: dict[str, Any]) -> Any:
            is_on = SETTINGS.get().ratelimit_enabled
            is_over = is_on and _find_exceeded(limits, (body,), []) is not None
            return view({**body, "is_over_limit": is_over})

        return cast(ViewT, counted)

    return decorator


def takes_device_token(
    find_device: Callable[[str, dict[str, Any]], object | None],
) -> Callable[[ViewT], ViewT]:
    """Pass a view the device of the body's `device_token`, which limits by device count by.

    Put it above `limited`.

    Args:
        find_device: returns the device of a token if the account that the body names knows it,
            else None: a limit must not count by a device of another account.
    """

    def decorator(view: ViewT) -> ViewT:
        @wraps(view)
        def verified(body: dict[str, Any]) -> Any:
            token = body.get("device_token")
            return view({**body, "device": find_device(token, body) if token is not None else None})

        return cast(ViewT, verified)

    return decorator


def count_call(limits: Sequence[Limit], arguments: Sequence[Any]) -> None:
    """Count a call by each limit, in a request.

    Args:
        limits: see `limited`.
        arguments: of the view; the first may hold what a limit counts by.

    Raises:
        RateLimitedError: the call exceeds a limit.
    """
    counted: list[tuple[Limit, Window]] = []
    after_this_request(partial(_add_headers, counted))
    exceeded = _find_exceeded(limits, arguments, counted)
    if exceeded is not None:
        raise RateLimitedError(retry_after_secs=exceeded.remaining_secs)


def _find_exceeded(
    limits: Sequence[Limit], arguments: Sequence[Any], counted: list[tuple[Limit, Window]]
) -> Window | None:
    """Count a call by each limit up to the first that it exceeds; return that one's window.

    Args:
        limits, arguments: see `limited`.
        counted: receives each limit that counted the call, with its window.
    """
    for limit in limits:
        subject = _subject(limit.by, arguments)
        if subject is None:
            continue
        window = hit_limit(limit, subject)
        if window is None:
            continue
        counted.append((limit, window))
        if window.hits > limit.amount:
            return window
    return None


def _subject(by: CountedBy, arguments: Sequence[Any]) -> str | None:
    """Return what the call is counted by, or None for a Unix socket's peer without an address.

    An email address counts as submitted, so known and unknown ones count alike.
    """
    match by:
        case CountedBy.ADDRESS:
            return _client_network()
        case CountedBy.CLIENT_AND_ADDRESS:
            client_id, network = arguments[0]["client_id"], _client_network()
            return None if client_id is None or network is None else f"{client_id} {network}"
        case CountedBy.EMAIL:
            return _submitted_email(arguments[0])
        case CountedBy.USER:
            return _caller_id()
        case CountedBy.DEVICE_OR_ADDRESS:
            # A decorator above has verified that the device is the account's own.
            device = arguments[0].get("device")
            return _client_network() if device is None else str(device.id)
        case CountedBy.DEVICE_OR_EMAIL:
            device = arguments[0].get("device")
            return str(arguments[0]["email"]) if device is None else str(device.id)


def _submitted_email(body: Mapping[str, Any]) -> str:
    """Return the address that a body names: its own, or the one that the caller wants."""
    return str(body["new_email"] if "new_email" in body else body["email"])


def _caller_id() -> str:
    """Return the id of the user or machine that a token or a browser's cookie has identified.

    Raises:
        LookupError: neither has; the view requires no sign-in.
    """
    state = request_state()
    caller_id = state.user_id or state.client_id
    if caller_id is None:
        raise LookupError("no caller is identified")
    return caller_id


def _client_network() -> str | None:
    return find_network(client_address())


def _add_headers(counted: Sequence[tuple[Limit, Window]], response: Response) -> Response:
    """Add the headers; none if limits are off or their storage was unavailable.

    They leave out limits by submitted email address, which would reveal calls of other clients.
    """
    of_caller = [(limit, window) for limit, window in counted if limit.by.is_of_caller]
    if of_caller:
        limit, window = min(of_caller, key=lambda pair: pair[0].amount - pair[1].hits)
        response.headers["RateLimit-Limit"] = str(limit.amount)
        response.headers["RateLimit-Remaining"] = str(max(0, limit.amount - window.hits))
        response.headers["RateLimit-Reset"] = str(window.remaining_secs)
    return response
