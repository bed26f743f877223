"""Requests to other servers: the only module of the service that sends any over HTTP.

`http.client` is used since it follows no redirect, retries nothing, and takes no proxy from the
environment. The addresses of a name are resolved once, checked, and connected to, so a second
answer of the DNS cannot lead elsewhere (DNS rebinding). Callers wrap calls in a breaker
(`core.breakers`) and decide what a status means.
"""

import logging
import ssl
from collections.abc import Mapping
from contextlib import closing
from dataclasses import field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit

from authserve.core.deadline import (
    Deadline,
    TLSContext,
    connect_to_any,
    explain_connect_error,
    make_tls_context,
    resolve,
)
from authserve.core.frozen import frozen
from authserve.core.outbound_hosts import OutboundHosts

logger = logging.getLogger(__name__)

USER_AGENT = "authserve"

_PORTS = {"http": 80, "https": 443}


class OutboundError(Exception):
    """A server did not answer, or its answer is no answer of HTTP.

    Args:
        reason: words for the operator, whose subject is the server; they contain nothing of the
            request or the answer.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class OutboundTimeoutError(OutboundError):
    """A server took longer than the limit."""


class AddressNotAllowedError(OutboundError):
    """A URL leads to an address that it must not; nothing was sent."""


@frozen(kw_only=True)
class OutboundLimits:
    """Limits of one request (ASVS 13.1.3).

    Args:
        total_secs: from the DNS look-up to the last byte.
        max_bytes: of the answer's body.
    """

    total_secs: float
    max_bytes: int


@frozen(kw_only=True)
class OutboundRequest:
    """A request.

    Args:
        url: absolute, http or https, without a user or password.
        headers: in addition to those of HTTP and `User-Agent`.
        body: None for a request without one.
    """

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)


@frozen(kw_only=True)
class OutboundAnswer:
    """An answer, perhaps a redirect.

    Args:
        has_length: False if only the connection's end marks the body's end, so that a truncated
            one looks complete.
        server_time: the server's clock, as the answer has it; None if it does not say.
    """

    status: int
    body: bytes = field(repr=False)
    has_length: bool
    server_time: datetime | None = field(default=None, compare=False)


class OutboundClient:
    """A sender of requests. Safe for threads, and to create before a fork.

    Args:
        hosts: the hosts that may be private. None exempts URLs from the check of scheme and
            addresses; it is meant for URLs that the operator's environment sets.
        tls: a context that trusts other authorities than the system's. None for the system's; it
            is made at the first https request, because it takes memory.
    """

    def __init__(self, *, hosts: OutboundHosts | None, tls: TLSContext | None = None) -> None:
        self._hosts = hosts
        self._tls = tls

    def send(self, request: OutboundRequest, limits: OutboundLimits) -> OutboundAnswer:
        """Send a request and return the answer of any status; follow no redirect.

        Raises:
            AddressNotAllowedError: the URL is http or leads to an address that is not public, and
                `hosts` does not list it.
            OutboundTimeoutError: no answer within `limits.total_secs`.
            OutboundError: no valid answer within the limits.
        """
        deadline = Deadline(limits.total_secs)
        try:
            with closing(self._open(request.url, deadline)) as connection:
                return _talk(connection, request, limits)
        except TimeoutError as error:
            raise OutboundTimeoutError(f"it took longer than {limits.total_secs:g} s") from error
        except ssl.SSLCertVerificationError as error:
            raise OutboundError("its certificate is not good") from error
        except (HTTPException, OSError, ValueError, RuntimeError) as error:
            fault = explain_connect_error(error) or (
                f"it did not answer as it should ({type(error).__name__})"
            )
            raise OutboundError(fault) from error

    def _open(self, url: str, deadline: Deadline) -> HTTPConnection:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        self._require_scheme(parts.scheme, host)
        addresses = resolve(host, port, deadline)
        # One forbidden address refuses the name: its owner could otherwise try for a connection
        # that falls on it.
        for address in addresses:
            self._require_allowed(host, str(address.sockaddr[0]))
        tls = self._find_tls() if parts.scheme == "https" else None
        connection = (
            HTTPConnection(host, port) if tls is None else HTTPSConnection(host, port, context=tls)
        )
        # http.client connects only if there is no socket yet.
        connection.sock = connect_to_any(addresses, deadline, tls=tls, server_name=host)
        return connection

    def _require_scheme(self, scheme: str, host: str) -> None:
        if scheme != "https" and self._hosts is not None and not self._hosts.lists(host):
            raise AddressNotAllowedError("it may be called by https only")

    def _require_allowed(self, host: str, address: str) -> None:
        if self._hosts is None or self._hosts.is_allowed(host, address):
            return
        # The entry is for the operator's log alone: a stranger must not learn the network.
        extra = {"host": host, "address": address, "add_to": "OUTBOUND_HOSTS"}
        logger.warning("address not allowed", extra=extra)
        raise AddressNotAllowedError("its address is not public")

    def _find_tls(self) -> TLSContext:
        if self._tls is None:
            self._tls = make_tls_context()
        return self._tls


def _talk(
    connection: HTTPConnection, request: OutboundRequest, limits: OutboundLimits
) -> OutboundAnswer:
    parts = urlsplit(request.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {**request.headers, "User-Agent": USER_AGENT}
    connection.request(request.method, target, body=request.body, headers=headers)
    with closing(connection.getresponse()) as response:
        has_length = response.length is not None or response.chunked
        body = _read(response, limits.max_bytes)
        server_time = _read_time(response)
    return OutboundAnswer(
        status=response.status, body=body, has_length=has_length, server_time=server_time
    )


def _read_time(response: HTTPResponse) -> datetime | None:
    """Return `Date` (RFC 9110 §6.6.1) and the time since then in a cache (RFC 9111 §5.1)."""
    age = response.headers.get("Age", "0")
    try:
        moment = parsedate_to_datetime(response.headers.get("Date", ""))
        return moment.astimezone(UTC) + timedelta(seconds=int(age) if age.isdecimal() else 0)
    except (ValueError, OverflowError):
        return None


def _read(response: HTTPResponse, max_bytes: int) -> bytes:
    body = response.read(max_bytes + 1)
    if len(body) > max_bytes:
        raise OutboundError(f"it answered more than {max_bytes} bytes")
    if response.length:
        raise OutboundError("its answer broke off")
    return body
