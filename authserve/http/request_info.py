"""Where a request comes from, believing only the proxies that the operator named."""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from flask import Flask, g, request
from werkzeug.http import parse_list_header
from werkzeug.middleware.proxy_fix import ProxyFix

from authserve.core.actor import USER_AGENT_MAX_LENGTH, RequestInfo
from authserve.core.settings import get_settings
from authserve.ratelimit.policy import network_of

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def trust_proxies(app: Flask, *, count: int) -> None:
    """Take the client's address from `X-Forwarded-For`, but only what `count` proxies added.

    Each trusted proxy appends the address that it saw, so the one `count` places from the right
    is the first that a trusted machine vouches for; everything left of it is the client's word.
    """
    if count:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=count, x_proto=count, x_host=0, x_port=0, x_prefix=0
        )


def client_address() -> str | None:
    """The address that the current request is taken to come from, in its one spelling."""
    return normalize_address(request.remote_addr)


class AddressRule(StrEnum):
    """How a client's address is found."""

    PEER = "peer"
    X_FORWARDED_FOR = "x_forwarded_for"


@dataclass(frozen=True, slots=True)
class AddressFinding:
    """Where the current request is taken to come from, and why.

    Args:
        network: what it counts as where clients are counted.
        peer: who connected to this service.
        forwarded_for: all of `X-Forwarded-For`, believed or not.
    """

    address: str | None
    network: str | None
    rule: AddressRule
    trusted_proxies: int
    peer: str | None
    forwarded_for: list[str]


def find_address() -> AddressFinding:
    """Say how `client_address` comes about.

    The rule is the peer's as well where fewer proxies than trusted ones have spoken.
    """
    count, address = get_settings().trusted_proxies, client_address()
    original = request.environ.get("werkzeug.proxy_fix.orig", request.environ)
    forwarded_for = parse_list_header(request.headers.get("X-Forwarded-For", ""))
    is_forwarded = count and len(forwarded_for) >= count
    return AddressFinding(
        address=address,
        network=network_of(address) if address else None,
        rule=AddressRule.X_FORWARDED_FOR if is_forwarded else AddressRule.PEER,
        trusted_proxies=count,
        peer=normalize_address(original.get("REMOTE_ADDR")),
        forwarded_for=forwarded_for,
    )


def current_request_info() -> RequestInfo:
    """Address, user agent and correlation id of the current request."""
    return RequestInfo(
        ip=client_address(),
        user_agent=_clean_user_agent(request.headers.get("User-Agent")),
        correlation_id=g.correlation_id,
    )


@lru_cache(maxsize=4096)
def normalize_address(address: str | None) -> str | None:
    """One spelling for one address: IPv4-mapped IPv6 folded, a zone or port dropped.

    Returns:
        None for anything that is no address, such as a Unix socket's empty peer.
    """
    if not address:
        return None
    candidate = address.strip().partition("%")[0]
    if candidate.startswith("["):
        candidate = candidate[1:].partition("]")[0]
    elif candidate.count(":") == 1:
        candidate = candidate.partition(":")[0]
    try:
        parsed = ip_address(candidate)
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return str(parsed)


def _clean_user_agent(user_agent: str | None) -> str | None:
    if not user_agent:
        return None
    # WSGI hands header bytes over as Latin-1; what is not UTF-8 is shown replaced.
    text = user_agent.encode("latin-1", "replace").decode("utf-8", "replace")
    return _CONTROL.sub("", text)[:USER_AGENT_MAX_LENGTH] or None
