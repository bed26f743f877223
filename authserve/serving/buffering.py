"""gunicorn's threaded worker, changed so that waiting for a client takes no thread.

gunicorn gives a connection a thread once its first byte has arrived. That thread waits without
limit for the rest, and for the client to read the response. If the client then does not close the
connection, gunicorn waits up to two seconds in the one thread that accepts connections. So a
hundred slow clients stop a service of two workers with 32 threads each (measured).

Here the poller does all this waiting, and each wait has a limit: threads only read and write
memory.
"""

import errno
import socket
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE
from time import monotonic
from typing import Any

from gunicorn.config import Config
from gunicorn.http.errors import NoMoreData
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from authserve.core.clock import arrived_at
from authserve.core.logs import correlation_id_var
from authserve.http.request_info import normalize_address
from authserve.serving.client_socket import SEND_SECS, ClientSocket
from authserve.serving.refusals import (
    INTERNAL,
    TIMED_OUT,
    KnownHeaders,
    Refusal,
    known_in_bytes,
    known_in_request,
    problem_bytes,
    refusal_of,
)
from authserve.serving.request_buffer import RequestBuffer
from authserve.settings.model import SETTINGS

ARRIVAL_SECS = 10.0
"""Limits the time from a request's first byte to its last (chosen: 64 KiB at 50 kbit/s)."""

LINGER_SECS = 2.0
"""Limits the time that a client takes to close after its last response; gunicorn's own figure."""

LINGER_BYTES = 1024 * 1024
"""Limits the bytes that are received and discarded within `LINGER_SECS` (chosen)."""

RECV_BYTES = 64 * 1024

MAX_SENDING = 32
"""Limits connections whose client has not read its whole response, and so their memory: 64 MiB a
worker (chosen)."""

STOP_SEND_SECS = 10.0
"""Replaces `SEND_SECS` while the worker stops, which has 25 s for all requests in progress
(chosen)."""

ACCEPT_PAUSE_SECS = 1.0
"""Pause before the next `accept` after one failed with an error of `NO_ROOM` (chosen)."""

NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""Errors of `accept` while the process or the system is at a limit (accept(2))."""

Waits = dict[TConn, float]
"""Connections in the poller, with the time when their wait ends; the earliest is first."""


class BufferingWorker(ThreadWorker):  # type: ignore[misc]
    """A worker whose threads get whole requests and wait for no client.

    Of the methods here, gunicorn calls only `handle_request`, `handle_error` and `_keepalive_after`
    in threads of the pool. The main thread alone changes the worker's state, so no lock is needed.
    """

    @classmethod
    def check_config(cls, cfg: Config, log: Any) -> None:
        """Refuse to start with TLS: the proxy ends it, and the buffers here need plain text.

        Raises:
            RuntimeError: gunicorn's settings name a certificate.
        """
        super().check_config(cfg, log)
        if cfg.is_ssl:
            raise RuntimeError("remove certfile and keyfile: TLS ends at the proxy in front")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._arriving: Waits = {}
        self._sending: Waits = {}
        self._leaving: Waits = {}
        self._accept_again_at: float | None = None
        self.requests_under_way = 0
        """Number of requests that have a thread or wait for one."""

    # Connections

    def accept(self, listener: Any) -> None:
        """Accept a connection; if the system has no room for it, pause accepting."""
        try:
            sock, address = listener.accept()
        except OSError as error:
            if error.errno in NO_ROOM:
                self._pause_accepting(error)
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED):
                raise
            return
        self.nr_conns += 1
        client = _plain_address(address)
        self.enqueue_req(TConn(self.cfg, ClientSocket(sock), client, listener.getsockname()))

    def _pause_accepting(self, error: OSError) -> None:
        if self._accept_again_at is None:
            self.log.warning("Accepting no connections for a while: %s", error.strerror)
        self._accept_again_at = monotonic() + ACCEPT_PAUSE_SECS
        self._close_idle()
        # gunicorn's loop accepts nothing while `nr_conns` has reached this limit.
        self.worker_connections = self.nr_conns

    def _accept_again(self) -> None:
        if self._accept_again_at is not None and self._accept_again_at <= monotonic():
            self._accept_again_at = None
            self.worker_connections = self.cfg.worker_connections

    def _close_idle(self) -> None:
        """Close the connection that has been idle for longest, to make room for a new one."""
        waits: list[deque[TConn]] = [self.pending_conns, self.keepalived_conns]
        longest = min(filter(None, waits), key=lambda conns: conns[0].timeout, default=None)
        if longest:
            conn = longest.popleft()
            self.poller.unregister(conn.sock)
            self._close(conn)

    def _wait(self, waits: Waits, conn: TConn, secs: float, event: int, handler: Any) -> None:
        if conn not in waits:
            waits[conn] = monotonic() + secs
            self.poller.register(conn.sock, event, handler)

    def _stop_waiting(self, conn: TConn) -> None:
        for waits in (self._arriving, self._sending, self._leaving):
            if waits.pop(conn, None):
                with suppress(OSError, KeyError, ValueError):
                    self.poller.unregister(conn.sock)

    def _close(self, conn: TConn) -> None:
        self._stop_waiting(conn)
        self.nr_conns -= 1
        conn.close()

    def murder_pending(self) -> None:
        """End the waits whose time is over; gunicorn calls this at least once a second."""
        super().murder_pending()
        for conn in _expired(self._arriving):
            self._turn_away(conn, TIMED_OUT, reason=None)
        for conn in (*_expired(self._sending), *_expired(self._leaving)):
            self._close(conn)
        self._accept_again()
        if self.alive and self.nr_conns >= self.worker_connections:
            self._close_idle()

    def _cap_keepalive(self, deadline: float) -> None:
        super()._cap_keepalive(deadline)
        # A connection that was never used must not delay the stop either.
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)
        # Nor must a client that does not read its response.
        send_until = monotonic() + STOP_SEND_SECS
        self._sending = {conn: min(end, send_until) for conn, end in self._sending.items()}

    # Receiving requests

    def enqueue_req(self, conn: TConn) -> None:
        """Start to receive a request; the connection gets a thread once all of it has arrived.

        gunicorn calls this for new connections and for those that have data to read.
        """
        before: RequestBuffer | None = conn.parser
        conn.initialized = True
        conn.parser = RequestBuffer(
            self.cfg, conn.client, number=before.number + 1 if before is not None else 1
        )
        # Bytes of this request that arrived together with the previous one.
        buffered = before.unreader.take_buffered() if before is not None else b""
        if buffered:
            self._take(conn, buffered)
        else:
            self._receive(conn)

    def _receive(self, conn: TConn, _sock: Any = None) -> None:
        try:
            data = conn.sock.recv(RECV_BYTES)
        except BlockingIOError:
            if conn not in self._arriving:
                self._await_first_byte(conn)
        except OSError:
            self._close(conn)
        else:
            self._take(conn, data)

    def _take(self, conn: TConn, data: bytes) -> None:
        buffer: RequestBuffer = conn.parser
        try:
            is_whole = buffer.add(data)
        except Exception as error:  # noqa: BLE001 - the poller must continue after any error
            if isinstance(error, NoMoreData) and not buffer.has_head:
                self._close(conn)
            else:
                self._turn_away(conn, refusal_of(error), reason=error)
            return
        if is_whole:
            self._hand_over(conn)
        else:
            self._wait(self._arriving, conn, ARRIVAL_SECS, EVENT_READ, partial(self._receive, conn))
            self._continue(conn)

    def _continue(self, conn: TConn) -> None:
        if conn.parser.awaits_continue:
            conn.parser.note_continue()
            with suppress(OSError):
                conn.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                conn.sock.flush()

    def _await_first_byte(self, conn: TConn) -> None:
        """Wait for a new client's first byte as long as for one between two requests."""
        secs = self.cfg.keepalive if self.alive else STOP_KEEPALIVE_LINGER
        conn.timeout = monotonic() + secs
        self.pending_conns.append(conn)
        handler = partial(self.on_pending_socket_readable, conn)
        self.poller.register(conn.sock, EVENT_READ, handler)

    def _hand_over(self, conn: TConn) -> None:
        self._stop_waiting(conn)
        conn.parser.whole_at = monotonic()
        self.requests_under_way += 1
        super().enqueue_req(conn)

    def handle_request(self, req: Any, conn: TConn) -> bool:
        """Handle a request, record when all of it had arrived, and send the response."""
        arrived_at.set(conn.parser.whole_at)
        is_kept: bool = super().handle_request(req, conn)
        conn.sock.flush()
        return is_kept

    def _keepalive_after(self, conn: TConn, keepalive: bool) -> bool:
        # gunicorn would read the rest of the body from the socket; here it is in memory already.
        return keepalive

    # Sending responses

    def finish_request(self, conn: TConn, done: Future[Any]) -> None:
        """Send the rest of a response, after its thread has finished."""
        self.requests_under_way -= 1
        self._send_rest(conn, done)

    def _send_rest(self, conn: TConn, done: Future[Any] | None, _sock: Any = None) -> None:
        """Send the unsent part of a response; then keep the connection or close it."""
        try:
            conn.sock.flush()
        except OSError:
            self._close(conn)
            return
        if conn.sock.unsent:
            self._await_taking(conn, done)
            return
        self._stop_waiting(conn)
        if done is not None and not done.cancelled() and not done.exception() and done.result():
            super().finish_request(conn, done)
        else:
            self._linger(conn)

    def _await_taking(self, conn: TConn, done: Future[Any] | None) -> None:
        if conn not in self._sending and len(self._sending) >= MAX_SENDING:
            self._close(next(iter(self._sending)))
        handler = partial(self._send_rest, conn, done)
        secs = SEND_SECS if self.alive else STOP_SEND_SECS
        self._wait(self._sending, conn, secs, EVENT_WRITE, handler)

    def _linger(self, conn: TConn) -> None:
        """Close a connection after the client has closed its side (RFC 9112 §9.6).

        Closing earlier could reset the connection, and the client would lose the response.
        """
        conn.lingered = 0
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            handler = partial(self._discard, conn)
            self._wait(self._leaving, conn, LINGER_SECS, EVENT_READ, handler)
        except (OSError, ValueError):
            self._close(conn)

    def _discard(self, conn: TConn, _sock: Any) -> None:
        try:
            data = conn.sock.recv(RECV_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        conn.lingered += len(data)
        if not data or conn.lingered > LINGER_BYTES:
            self._close(conn)

    # Refusals

    def _turn_away(self, conn: TConn, refusal: Refusal, *, reason: Exception | None) -> None:
        self._stop_waiting(conn)
        known = known_in_bytes(conn.parser.unreader.received)
        self._refuse(conn.sock, conn.client, refusal, known, reason=reason)
        self._send_rest(conn, None)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Send the refusal that the application would send, without quoting the request.

        Args:
            req: the request as far as it was read, or None.
            client: the socket.
            addr: the client's address.
            exc: the error to answer.
        """
        self._refuse(client, addr, refusal_of(exc), known_in_request(req), reason=exc)

    def _refuse(
        self,
        sock: Any,
        addr: Any,
        refusal: Refusal,
        known: KnownHeaders,
        *,
        reason: Exception | None,
    ) -> None:
        self._log_refusal(refusal, known, reason=reason, ip=addr[0] if addr else None)
        origins = SETTINGS.of(self.wsgi).cors_origins
        with suppress(OSError):
            sock.sendall(problem_bytes(refusal, known, origins=origins))

    def _log_refusal(
        self, refusal: Refusal, known: KnownHeaders, *, reason: Exception | None, ip: str | None
    ) -> None:
        status, code, _ = refusal
        line = {"status": int(status), "code": code, "reason": type(reason).__name__, "ip": ip}
        token = correlation_id_var.set(known.correlation_id)
        if refusal is INTERNAL:
            self.log.error("unhandled error", exc_info=reason, extra=line)
        else:
            # The exception's text is left out: it quotes the request.
            self.log.warning("request refused", extra=line)
        correlation_id_var.reset(token)


def _plain_address(address: Any) -> Any:
    """Return the address, with IPv4 instead of IPv4-mapped IPv6 (RFC 4291 §2.5.5.2)."""
    if isinstance(address, tuple):
        return (normalize_address(address[0]) or address[0], *address[1:])
    return address


def _expired(waits: Waits) -> list[TConn]:
    now, found = monotonic(), []
    for conn, deadline in waits.items():
        if deadline > now:
            break
        found.append(conn)
    return found
