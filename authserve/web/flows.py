"""Sign-ins in progress: each has a cookie of its own, which its forms name.

The cookie holds the token of the next step, so that the token is in no URL and no page. Two tabs
hold two cookies, so neither takes the other's place.
"""

import re
from dataclasses import field
from datetime import timedelta
from itertools import accumulate

from flask import Response, request

from authserve.core.base64url import encode_base64url
from authserve.core.clock import now
from authserve.core.crypto import random_bytes
from authserve.core.frozen import frozen
from authserve.web.cookies import cookie_name, set_cookie

FIELD = "pending"
"""The name of the query parameter and of the hidden form field that name a flow."""

MAX_FLOWS = 4
"""Limits the flows of a browser (design). A further one removes the oldest."""

MAX_BYTES = 5_000
"""Limits the cookies of all flows of a browser, in bytes: with those of sessions and devices they
have to fit into one header, which gunicorn limits to 8,190 (chosen). The token of a step has some
500; a sign-in at another provider keeps the person's target too, up to 3,000, and then the identity
that it found, mostly below 900."""

FLOW_TTL = timedelta(minutes=15)
"""Lifetime of the cookie: that of the longest step of a sign-in (design)."""

_BASE = "authserve-flow-"

_ID_BYTES = 6
"""Eight characters in base64url. They need not be secret: the cookie is."""

_ID = re.compile(r"[A-Za-z0-9_-]{8}")

MAX_TOKEN_LENGTH = 3_950
"""Limits the token of a flow, in characters: browsers keep cookies of 4,096 bytes with their names
and attributes (RFC 6265 §6.1), which take 143."""

_VALUE = re.compile(rf"([0-9]{{1,12}})\.([01])\.([A-Za-z0-9_.-]{{1,{MAX_TOKEN_LENGTH}}})")


@frozen(kw_only=True)
class Flow:
    """A sign-in in progress.

    Args:
        id: eight characters, which forms send.
        begun_at: the time of its first step, in seconds since 1970.
        is_remembered: True if the person asked to be kept signed in.
        token: of the next step.
    """

    id: str
    begun_at: int
    is_remembered: bool
    token: str = field(repr=False)


def begin_flow(token: str, *, is_remembered: bool = False) -> Flow:
    """Return a new flow; `hold_flow` gives it to the browser."""
    flow_id = encode_base64url(random_bytes(_ID_BYTES))
    begun_at = int(now().timestamp())
    return Flow(id=flow_id, begun_at=begun_at, is_remembered=is_remembered, token=token)


def hold_flow(response: Response, flow: Flow, *, ttl: timedelta = FLOW_TTL) -> None:
    """Give the browser the cookie of a flow, and remove those of flows that are too many."""
    for other in _find_surplus(flow):
        drop_flow(response, other.id)
    max_age = int(ttl.total_seconds())
    set_cookie(response, _name(flow.id), _write(flow), max_age=max_age)


def _find_surplus(flow: Flow) -> list[Flow]:
    """Return the flows that have no room beside a new one: the oldest."""
    others = [other for other in find_flows() if other.id != flow.id]
    sizes = accumulate(map(_size, [flow, *others]))
    kept = sum(size <= MAX_BYTES for size in sizes) - 1
    return others[max(0, min(kept, MAX_FLOWS - 1)) :]


def _size(flow: Flow) -> int:
    """Return the bytes that a flow takes in the header, with its separators."""
    return len(f"{_name(flow.id)}={_write(flow)}; ")


def drop_flow(response: Response, flow_id: str) -> None:
    """Make the browser forget the cookie of a flow that has ended."""
    set_cookie(response, _name(flow_id), "", max_age=0)


def find_flow(flow_id: str) -> Flow | None:
    """Return the flow that a form or a URL names, or None if the browser does not hold it."""
    if not _ID.fullmatch(flow_id):
        return None
    return _read(flow_id, request.cookies.get(_name(flow_id), ""))


def find_flows() -> list[Flow]:
    """Return the flows that the browser holds, newest first."""
    prefix = _name("")
    held = [name.removeprefix(prefix) for name in request.cookies if name.startswith(prefix)]
    found = [flow for flow in map(find_flow, held) if flow is not None]
    return sorted(found, key=lambda each: each.begun_at, reverse=True)


def _write(flow: Flow) -> str:
    return f"{flow.begun_at}.{int(flow.is_remembered)}.{flow.token}"


def _read(flow_id: str, value: str) -> Flow | None:
    found = _VALUE.fullmatch(value)
    if found is None:
        return None
    begun_at, remembered, token = found.groups()
    is_remembered = remembered == "1"
    return Flow(id=flow_id, begun_at=int(begun_at), is_remembered=is_remembered, token=token)


def _name(flow_id: str) -> str:
    return cookie_name(f"{_BASE}{flow_id}")
