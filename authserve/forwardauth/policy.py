"""The decision on a request to a proxied application, and what its headers say."""

from collections.abc import Collection
from datetime import datetime
from enum import Enum, auto
from ipaddress import ip_address
from urllib.parse import urlsplit

from authserve.core.frozen import frozen
from authserve.core.levels import Level
from authserve.core.outbound_hosts import IPNetwork
from authserve.sessions.policy import SessionState, SessionTimes, check_session

CALLBACK_PREFIX = "/.authserve/"
"""Paths at an application's host that the proxy leaves to this service (design)."""

MAX_RETURN_PATH_LENGTH = 500
"""Limits the path to which a person comes back, in characters, so that the request to authorize
stays below its own limit (`authorize_request.MAX_QUERY_BYTES`). A longer one loses its query."""


class Verdict(Enum):
    """The result of a check."""

    ALLOWED = auto()
    SIGNED_OUT = auto()
    LEVEL_TOO_LOW = auto()
    NOT_OPEN = auto()


@frozen(kw_only=True)
class SessionFacts:
    """The facts that decide on a request of a signed-in user.

    Args:
        own: the limits of the application's session.
        parent: those of the browser's session that it hangs under; None if that is gone.
        is_user_active: False for a deactivated account.
        level, needed_level: of the session; of what its account and the application need.
        roles: names of the roles that have effect in the session.
        allowed_roles: those that open the application; empty means every user.
    """

    own: SessionTimes
    parent: SessionTimes | None
    is_user_active: bool
    level: Level
    needed_level: Level
    roles: Collection[str]
    allowed_roles: Collection[str]


def decide(facts: SessionFacts, *, now: datetime) -> Verdict:
    """Return the verdict on a request whose cookie's secret is right."""
    times = (facts.own, facts.parent)
    is_live = all(each and check_session(each, now) is SessionState.LIVE for each in times)
    if not is_live or not facts.is_user_active:
        return Verdict.SIGNED_OUT
    if facts.level < facts.needed_level:
        return Verdict.LEVEL_TOO_LOW
    if facts.allowed_roles and not set(facts.allowed_roles).intersection(facts.roles):
        return Verdict.NOT_OPEN
    return Verdict.ALLOWED


def is_allowed_peer(peer: str | None, networks: Collection[IPNetwork]) -> bool:
    """Return True if the machine that connected is in one of the networks.

    Args:
        peer: its address; None for a Unix socket.
    """
    return peer is not None and any(ip_address(peer) in network for network in networks)


_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def read_origin(scheme: str, host: str) -> str:
    """Return the origin that a proxy's headers name, in the spelling of browsers.

    Other text is returned unchanged; it equals no registered origin.

    Args:
        scheme, host: of `X-Forwarded-Proto` and `X-Forwarded-Host`.
    """
    name, scheme = host.lower(), scheme.lower()
    return f"{scheme}://{name.removesuffix(_DEFAULT_PORTS.get(scheme, ':'))}"


def return_path(method: str, uri: str) -> str:
    """Return the path to which a person comes back from the sign-in; `/` where none is safe.

    A form that was sent is lost, so its address is not asked for again.

    Args:
        method, uri: of the person's request, as the proxy's headers have them.
    """
    if method not in ("GET", "HEAD") or not is_local_path(uri):
        return "/"
    path = uri if len(uri) <= MAX_RETURN_PATH_LENGTH else urlsplit(uri).path
    return path if len(path) <= MAX_RETURN_PATH_LENGTH else "/"


def is_local_path(path: str) -> bool:
    """Return True if browsers find the path at the host that they are at, and not at our pages."""
    is_plain = path.isascii() and path.isprintable() and "\\" not in path and " " not in path
    return is_plain and path.startswith("/") and not path.startswith(("//", CALLBACK_PREFIX))
