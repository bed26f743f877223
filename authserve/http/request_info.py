"""The state of a request, and its origin: address, user agent and correlation id.

Only configured proxies are trusted.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv6Address, ip_address
from time import perf_counter
from typing import Any, cast

from flask import Flask, g, has_request_context, request

from authserve.core.actor import USER_AGENT_MAX_LENGTH, RequestInfo
from authserve.core.frozen import frozen
from authserve.ratelimit.policy import network_of
from authserve.settings.model import SETTINGS


@dataclass(slots=True, kw_only=True)
class RequestState:
    """The state of one request, typed, and read from Flask's `g` at once.

    Attributes:
        correlation_id: in the log, the response and the audit trail.
        started_at: by `perf_counter`, in seconds.
        user_id: the caller's, once an access token or a browser's cookie was verified.
        client_id: of the machine that calls.
        presented_client_id: the client that a call of OAuth names, perhaps without proof.
        grant_type: of a call for tokens of OAuth, as it was sent.
        authentication: see `callers.identify_caller`.
        browser: see `web.browser_session.BrowserState`; None before a page asks for it.
        language: of the page; None before a text asks for it.
        asked_language: that an earlier page of the same way was asked for in; empty if none was.
        json_body: the parsed body; None without one.
        refusal_code: of the problem that was answered.
        asset_root: path before those of style sheets and scripts, empty but at another host.
        outcome: how the call succeeded, if it can succeed in several ways.
    """

    correlation_id: str
    started_at: float = field(default_factory=perf_counter)
    user_id: str | None = None
    client_id: str | None = None
    presented_client_id: str | None = None
    grant_type: str | None = None
    authentication: Any = None
    browser: Any = None
    language: str | None = None
    asked_language: str = ""
    json_body: dict[str, Any] | None = None
    refusal_code: str | None = None
    outcome: str | None = None
    asset_root: str = ""


def begin_request(correlation_id: str) -> RequestState:
    """Make the state of a new request; an open application context may hold an older one."""
    g.request_state = state = RequestState(correlation_id=correlation_id)
    return state


def request_state() -> RequestState:
    """Return the state of the current request."""
    return cast(RequestState, g.request_state)


def find_request_state() -> RequestState | None:
    """Return the state of the current request, or None outside of one, as in commands."""
    return g.get("request_state") if has_request_context() else None


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class ForwardedRequests:
    """A WSGI middleware that takes address and scheme from the headers of trusted proxies.

    Each trusted proxy appends the address that it saw. So the entry `count` places from the right
    is the first that a trusted proxy wrote; a client can forge everything left of it.

    Args:
        count: the number of trusted proxies, at least 1.
    """

    def __init__(self, wsgi_app: Any, *, count: int) -> None:
        self._wsgi_app = wsgi_app
        self._count = count

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Replace `REMOTE_ADDR` and the scheme if a proxy sent them; keep the peer's address."""
        environ[_PEER] = environ.get("REMOTE_ADDR")
        address = find_forwarded_address(environ.get(_FORWARDED_FOR), count=self._count)
        if address is not None:
            environ["REMOTE_ADDR"] = environ[_FORWARDED_ADDRESS] = address
        schemes = _last_entries(environ.get("HTTP_X_FORWARDED_PROTO"), self._count)
        if schemes and schemes[0].lower() in ("http", "https"):
            environ["wsgi.url_scheme"] = schemes[0].lower()
        return self._wsgi_app(environ, start_response)


_PEER = "authserve.peer"
_FORWARDED_FOR = "HTTP_X_FORWARDED_FOR"
_FORWARDED_ADDRESS = "authserve.forwarded_address"


def trust_proxies(app: Flask, *, count: int) -> None:
    """Trust the `X-Forwarded-*` headers of `count` proxies, and of no other machine."""
    if count:
        app.wsgi_app = ForwardedRequests(app.wsgi_app, count=count)  # type: ignore[method-assign]


def find_forwarded_address(header: str | None, *, count: int) -> str | None:
    """Return the address that the outermost of `count` trusted proxies saw.

    The header is split at its commas from the right, so a client's text (a quote, a bracket) cannot
    change what a proxy has appended. If an entry is not an address, the next one to the right
    counts: the address of the proxy that wrote the entry.

    Returns:
        None if the peer's own address counts: the header has fewer than `count` entries, or none of
        the last `count` is an address.
    """
    addresses = map(normalize_address, _last_entries(header, count))
    return next((address for address in addresses if address is not None), None)


def _last_entries(header: str | None, count: int) -> list[str]:
    """Return the last `count` entries of a list header, or an empty list if it has fewer."""
    entries = (header or "").rsplit(",", count)[-count:]
    return [entry.strip() for entry in entries] if len(entries) == count else []


def client_address() -> str | None:
    """Return the client's address of the current request, normalized."""
    return normalize_address(request.remote_addr)


def peer_address() -> str | None:
    """Return the normalized address of the machine that connected to this service."""
    environ = request.environ
    return normalize_address(environ.get(_PEER, environ.get("REMOTE_ADDR")))


class AddressRule(StrEnum):
    """The source of a client's address."""

    PEER = "peer"
    X_FORWARDED_FOR = "x_forwarded_for"


@frozen()
class AddressFinding:
    """The client's address of the current request, and the data that it was found from.

    Args:
        network: the network that rate limits count the address as.
        peer: the address of the machine that connected to this service.
        forwarded_for: all entries of `X-Forwarded-For`, trusted or not.
    """

    address: str | None
    network: str | None
    rule: AddressRule
    trusted_proxies: int
    peer: str | None
    forwarded_for: list[str]


def find_address() -> AddressFinding:
    """Return the client's address and explain how `client_address` found it.

    The rule is `PEER` also if the trusted proxies sent no address.
    """
    environ, address = request.environ, client_address()
    is_forwarded = _FORWARDED_ADDRESS in environ
    header = environ.get(_FORWARDED_FOR)
    return AddressFinding(
        address=address,
        network=network_of(address) if address else None,
        rule=AddressRule.X_FORWARDED_FOR if is_forwarded else AddressRule.PEER,
        trusted_proxies=SETTINGS.get().trusted_proxies,
        peer=peer_address(),
        forwarded_for=[entry.strip() for entry in header.split(",")] if header else [],
    )


def accepts_html() -> bool:
    """Return True if `Accept` names HTML, as browsers do; programs send `*/*` alone."""
    accepted = request.accept_mimetypes
    return any(name.lower() == "text/html" and quality > 0 for name, quality in accepted)


def current_request_info() -> RequestInfo:
    """Return address, user agent and correlation id of the current request."""
    return RequestInfo(
        ip=client_address(),
        user_agent=_clean_user_agent(request.headers.get("User-Agent")),
        correlation_id=request_state().correlation_id,
    )


ADDRESS_MAX_LENGTH = 100
"""Limits an address with brackets, zone and port, in characters; longer text is refused
(chosen)."""


def normalize_address(address: str | None) -> str | None:
    """Return an address in its one spelling: IPv4 if mapped into IPv6, without zone and port.

    Returns:
        None for text that is not an address, such as a Unix socket's empty peer.
    """
    if not address or len(address) > ADDRESS_MAX_LENGTH:
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
    # WSGI decodes header bytes as Latin-1. Bytes that are not UTF-8 become replacement characters.
    text = user_agent.encode("latin-1", "replace").decode("utf-8", "replace")
    return _CONTROL.sub("", text)[:USER_AGENT_MAX_LENGTH] or None
