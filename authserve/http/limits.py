"""Rate limits of views, and the response headers that report them.

The headers are those that most clients know (draft-ietf-httpapi-ratelimit-headers-03):
`RateLimit-Limit`, `RateLimit-Remaining`, and `RateLimit-Reset` in seconds. They report the caller's
limit that has the fewest calls left.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Set
from functools import partial, wraps
from typing import Any, NoReturn, TypeVar, cast

from flask import Response, after_this_request, g
from flask_limiter import RequestLimit

from authserve.core.crypto import KEYRING
from authserve.extensions import limiter
from authserve.http.authentication import current_actor
from authserve.http.openapi import Blueprint, limited_by
from authserve.http.request_info import client_address
from authserve.ratelimit.errors import RateLimitedError
from authserve.ratelimit.policy import CountedBy, Limit, network_of
from authserve.ratelimit.storage import Window, counted_window, counting
from authserve.settings.model import SETTINGS

ViewT = TypeVar("ViewT", bound=Callable[..., Any])

PURPOSE = "limit"

# The request's own log line names the refusal already, without the counter's key.
limiter.logger.setLevel(logging.WARNING)


@limiter.request_filter
def _is_off() -> bool:
    return not SETTINGS.get().ratelimit_enabled


def limited(*limits: Limit) -> Callable[[ViewT], ViewT]:
    """Count the calls of a view and refuse those over a limit; put it next to the view itself.

    The decorators above it run first, so the caller is authenticated and the body is valid. The
    view, which hashes or sends, has not run.

    Args:
        limits: counted in this order; if one refuses, those after it count nothing. A limit by
            email address or device takes that from the view's first argument.
    """
    reported = frozenset(limit.name for limit in limits if limit.by.is_of_caller)

    def decorator(view: ViewT) -> ViewT:
        counted: Any = view
        for limit in limits:
            counted = _as_flask_limit(limit)(counted)

        @wraps(counted)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            g.limited_arguments = args
            with counting() as windows:
                after_this_request(partial(_tell, reported, windows))
                return counted(*args, **kwargs)

        documented = limited_by(limits)(Blueprint.refuses(RateLimitedError)(guarded))
        return cast(ViewT, documented)

    return decorator


def _as_flask_limit(limit: Limit) -> Any:
    return limiter.shared_limit(
        f"{limit.amount} per {int(limit.window.total_seconds())} second",
        scope=limit.name,
        key_func=partial(_digest, limit.by),
        exempt_when=partial(_is_without, limit.by),
        on_breach=_refuse,
    )


def _digest(by: CountedBy) -> str:
    """Return the counter's key; as a MAC, it does not reveal the caller."""
    return KEYRING.get().mac(PURPOSE, f"{by}:{SUBJECTS[by]()}".encode()).hex()


def _is_without(by: CountedBy) -> bool:
    """Return True if the call has nothing to count by: a Unix socket's peer has no address."""
    if by is CountedBy.DEVICE_OR_ADDRESS and _find_device() is not None:
        return False
    return by in (CountedBy.ADDRESS, CountedBy.DEVICE_OR_ADDRESS) and client_address() is None


def _find_device() -> str | None:
    """Return the id of the account's own device, verified by a decorator above, or None."""
    device = g.limited_arguments[0].get("device")
    return None if device is None else str(device.id)


SUBJECTS: Mapping[CountedBy, Callable[[], object]] = {
    CountedBy.ADDRESS: lambda: network_of(client_address() or ""),
    CountedBy.EMAIL: lambda: g.limited_arguments[0]["email"],
    CountedBy.USER: lambda: current_actor().signed_in_user.id,
    CountedBy.DEVICE_OR_ADDRESS: lambda: _find_device() or network_of(client_address() or ""),
}
"""Subjects that calls are counted by. An email address counts as submitted, so known and unknown
ones count alike."""


def _refuse(limit: RequestLimit) -> NoReturn:
    raise RateLimitedError(retry_after_secs=counted_window(limit.key).remaining_secs)


def _tell(reported: Set[str], windows: Mapping[str, Window], response: Response) -> Response:
    """Add the headers; none if limits are off or their storage was unavailable.

    Args:
        reported: names of the limits that count the caller. A limit by submitted email address
            would reveal calls of other clients.
    """
    known = (
        limit
        for limit in limiter.current_limits
        if limit.key in windows and limit.request_args[-1] in reported
    )
    response.headers.extend(_headers(known, windows))
    return response


def _headers(limits: Iterable[RequestLimit], windows: Mapping[str, Window]) -> dict[str, str]:
    left = ((limit.limit.amount - windows[limit.key].hits, limit) for limit in limits)
    remaining, tightest = min(left, key=lambda pair: pair[0], default=(0, None))
    if tightest is None:
        return {}
    return {
        "RateLimit-Limit": str(tightest.limit.amount),
        "RateLimit-Remaining": str(max(0, remaining)),
        "RateLimit-Reset": str(windows[tightest.key].remaining_secs),
    }
