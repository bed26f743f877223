"""Connections on which a whole conversation is bounded by one deadline.

A socket's own timeout restarts with every byte, so a server that sends one byte a second could
block a thread for ever. Here, each operation gets the time that is left until the deadline.
"""

import errno
import socket
import ssl
import time
from collections.abc import Sequence
from concurrent.futures import Future
from threading import Thread
from typing import Any, cast

from authserve.core.frozen import frozen

CONNECT_TIMEOUT_SECS = 5.0
"""Limit of one connection attempt (chosen): an address that does not answer leaves time for the
name's next address."""


class Deadline:
    """The end of the time for a conversation.

    Args:
        seconds: the time from now on.
    """

    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds

    @property
    def has_passed(self) -> bool:
        """True once the time is up."""
        return time.monotonic() >= self._ends_at

    def remaining_secs(self) -> float:
        """Return the seconds that are left, more than 0.

        Raises:
            TimeoutError: none is left.
        """
        seconds = self._ends_at - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("the deadline has passed")
        return seconds

    def shorten(self, seconds: float) -> None:
        """Leave at most `seconds` from now on."""
        self._ends_at = min(self._ends_at, time.monotonic() + seconds)


class DeadlineSocket(socket.socket):
    """A connection whose reads and writes raise `TimeoutError` at the deadline.

    It covers the operations of `http.client` and `smtplib`: `recv_into` (by `makefile`), `send` and
    `sendall`. `connect()` creates it.
    """

    deadline: Deadline

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        """Receive within the time that is left."""
        self.settimeout(self.deadline.remaining_secs())
        return super().recv_into(*args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> int:
        """Send a part within the time that is left."""
        self.settimeout(self.deadline.remaining_secs())
        return super().send(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        """Send everything within the time that is left."""
        self.settimeout(self.deadline.remaining_secs())
        super().sendall(*args, **kwargs)


class _TLSSocket(DeadlineSocket, ssl.SSLSocket):
    """A `DeadlineSocket` with TLS on top."""


class TLSContext(ssl.SSLContext):
    """A TLS context for clients whose connections keep the deadline of the socket below."""

    sslsocket_class = _TLSSocket

    def wrap_socket(self, sock: socket.socket, *args: Any, **kwargs: Any) -> _TLSSocket:
        """Do the handshake on a `DeadlineSocket` and return the encrypted connection.

        Raises:
            OSError: the handshake failed, or took longer than the time that is left.
        """
        deadline = cast(DeadlineSocket, sock).deadline
        # The new socket takes this timeout over, and Python applies it to the handshake as a whole.
        sock.settimeout(deadline.remaining_secs())
        connection = cast(_TLSSocket, super().wrap_socket(sock, *args, **kwargs))
        connection.deadline = deadline
        return connection


def make_tls_context() -> TLSContext:
    """Return a context that trusts the system's authorities.

    As with `ssl.create_default_context`, it verifies the chain and the name, and requires TLS 1.2.
    """
    context = TLSContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    return context


@frozen()
class ResolvedAddress:
    """An address of a name, as `socket.getaddrinfo` returns it.

    Args:
        sockaddr: begins with the address in text, then the port.
    """

    family: int
    kind: int
    protocol: int
    sockaddr: tuple[Any, ...]


def explain_connect_error(error: Exception) -> str | None:
    """Return an operator's words for a connection that was not made; None for other errors."""
    if isinstance(error, socket.gaierror):
        return "its name has no address"
    if isinstance(error, ConnectionRefusedError):
        return "no program listens at its port"
    if isinstance(error, OSError) and error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return "no route leads to it"
    return None


def connect(
    host: str, port: int, deadline: Deadline, *, tls: TLSContext | None = None
) -> DeadlineSocket:
    """Return a connection to the first address of a name that answers.

    Args:
        tls: for a connection that is encrypted from the start.

    Raises:
        OSError: no address answered in time, or the handshake failed.
    """
    return connect_to_any(resolve(host, port, deadline), deadline, tls=tls, server_name=host)


def connect_to_any(
    addresses: Sequence[ResolvedAddress],
    deadline: Deadline,
    *,
    tls: TLSContext | None,
    server_name: str,
) -> DeadlineSocket:
    """Return a connection to the first address that answers; no name is resolved.

    Args:
        addresses: from `resolve`, in the order of the attempts.
        tls: for a connection that is encrypted from the start.
        server_name: the name that the server's certificate must have.

    Raises:
        OSError: no address answered in time, or the handshake failed.
    """
    failure = OSError("the name has no address")
    for address in addresses:
        connection = DeadlineSocket(address.family, address.kind, address.protocol)
        connection.deadline = deadline
        try:
            connection.settimeout(min(CONNECT_TIMEOUT_SECS, deadline.remaining_secs()))
            connection.connect(address.sockaddr)
        except OSError as error:
            connection.close()
            failure = error
        else:
            if tls is None:
                return connection
            return tls.wrap_socket(connection, server_hostname=server_name)
    raise failure


def resolve(host: str, port: int, deadline: Deadline) -> list[ResolvedAddress]:
    """Return the addresses of a name, from a thread of its own.

    The system's resolver cannot be interrupted, so the thread may outlive the deadline.

    Raises:
        OSError: the name has no address, or the look-up took longer than the time that is left.
        UnicodeError: the name cannot be encoded.
    """
    answer: Future[list[Any]] = Future()
    Thread(target=_look_up, args=(host, port, answer), daemon=True).start()
    found = answer.result(deadline.remaining_secs())
    return [
        ResolvedAddress(family, kind, protocol, sockaddr)
        for family, kind, protocol, _, sockaddr in found
    ]


def _look_up(host: str, port: int, answer: Future[list[Any]]) -> None:
    try:
        answer.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except Exception as error:  # noqa: BLE001 - passed to the waiting caller
        answer.set_exception(error)
