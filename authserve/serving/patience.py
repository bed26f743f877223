"""gunicorn's threaded worker, in which waiting for a client costs no thread.

gunicorn gives a connection a thread when its first byte has come, and there waits for the rest
without a limit; and for a client that does not hang up after its answer, it waits up to two seconds
in the one thread that accepts connections. So a hundred slow clients stop a service of two workers
with 32 threads each (measured). Here both waits are the poller's, and both end.
"""

import socket
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ
from time import monotonic
from typing import Any
from uuid import uuid4

from gunicorn.http import get_parser
from gunicorn.http.errors import InvalidHeader
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from authserve.core.arrival import arrived_at
from authserve.core.logs import correlation_id_var
from authserve.serving.arrival import Arrival
from authserve.serving.refusals import (
    HEAD_TOO_LARGE,
    INTERNAL,
    TIMED_OUT,
    TOO_LARGE,
    Refusal,
    problem_bytes,
    refusal_of,
)

ARRIVAL_SECS = 10.0
"""From a request's first byte to its last (chosen: 64 KiB at 50 kbit/s)."""

LINGER_SECS = 2.0
"""How long a client may take to hang up after its answer; gunicorn's own figure."""

LINGER_BYTES = 1024 * 1024
"""What may still come meanwhile, and is thrown away (chosen)."""

RECV_BYTES = 64 * 1024

Waits = dict[TConn, float]
"""Connections in the poller, with the time when their wait ends, soonest first."""


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """A worker whose threads are given whole requests only.

    All methods but `handle_request`, `handle_error` and `_keepalive_after` run in its main thread,
    so that nothing here needs a lock.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._arriving: Waits = {}
        self._leaving: Waits = {}
        self.requests_under_way = 0
        """Those that have a thread, and those that wait for one."""

    # On the way in

    def enqueue_req(self, conn: TConn) -> None:
        """Give a connection a thread, when a whole request is there.

        gunicorn calls this for new connections and for those that have something to read.
        """
        if self.cfg.is_ssl:
            self.requests_under_way += 1
            super().enqueue_req(conn)  # What arrives has to be decrypted first.
            return
        conn.sock.setblocking(False)
        conn.arrival = Arrival()
        # What came along with the request before.
        buffered = conn.parser.unreader.take_buffered() if conn.parser is not None else b""
        if buffered:
            self._take(conn, buffered)
        else:
            self._receive(conn)

    def _receive(self, conn: TConn, _sock: Any = None) -> None:
        try:
            data = conn.sock.recv(RECV_BYTES)
        except BlockingIOError:
            if not conn.arrival.received:
                self._await_first_byte(conn)
        except OSError:
            self._close(conn)
        else:
            self._take(conn, data)

    def _take(self, conn: TConn, data: bytes) -> None:
        arrival: Arrival = conn.arrival
        arrival.add(data)
        if arrival.is_too_large:
            self._turn_away(conn, HEAD_TOO_LARGE if arrival.is_head else TOO_LARGE)
        elif not data and arrival.is_head:
            self._close(conn)
        elif arrival.is_whole or not data:
            self._stop_waiting(conn)
            self._hand_over(conn)
        else:
            self._await_rest(conn)

    def _await_rest(self, conn: TConn) -> None:
        if conn not in self._arriving:
            self._arriving[conn] = monotonic() + ARRIVAL_SECS
            self.poller.register(conn.sock, EVENT_READ, partial(self._receive, conn))
        if conn.arrival.awaits_continue:
            conn.arrival.awaits_continue = False
            with suppress(OSError):
                conn.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _await_first_byte(self, conn: TConn) -> None:
        """Let a client that has said nothing yet take as long as one between two requests."""
        patience = self.cfg.keepalive if self.alive else STOP_KEEPALIVE_LINGER
        conn.timeout = monotonic() + patience
        self.pending_conns.append(conn)
        handler = partial(self.on_pending_socket_readable, conn)
        self.poller.register(conn.sock, EVENT_READ, handler)

    def _hand_over(self, conn: TConn) -> None:
        if conn.parser is None:
            conn.parser = get_parser(self.cfg, conn.sock, conn.client)
            conn.initialized = True
        conn.parser.unreader.unread(bytes(conn.arrival.received))
        conn.arrival.whole_at = monotonic()
        self.requests_under_way += 1
        super().enqueue_req(conn)

    def handle_request(self, req: Any, conn: TConn) -> bool:
        """Answer a request; one whose end is not there is its connection's last.

        Nobody waits for that end, and the client has to know (RFC 9112 §9.6): what it sent next
        over the same connection would be lost.

        Raises:
            InvalidHeader: it is HTTP/1.1 without a Host (RFC 9112 §3.2).
        """
        if req.version >= (1, 1) and all(name != "HOST" for name, _ in req.headers):
            raise InvalidHeader("HOST", req=req)
        if not self.cfg.is_ssl:
            arrived_at.set(conn.arrival.whole_at)
            if not conn.arrival.is_complete:
                req.force_close()
        is_kept: bool = super().handle_request(req, conn)
        return is_kept

    def _keepalive_after(self, conn: TConn, keepalive: bool) -> bool:
        if self.cfg.is_ssl or not keepalive:
            return bool(super()._keepalive_after(conn, keepalive))
        # What the application did not read is here: no need of gunicorn's bounds, the lower of
        # which is a body that is just as long as one may be.
        return bool(conn.parser.finish_body())

    # On the way out

    def finish_request(self, conn: TConn, done: Future[Any]) -> None:
        """Go on with a connection after a thread is through with it."""
        self.requests_under_way -= 1
        if done.cancelled() or done.exception() or done.result() or self.cfg.is_ssl:
            super().finish_request(conn, done)
        else:
            self._linger(conn)

    def _linger(self, conn: TConn) -> None:
        """Close a connection once the client has (RFC 9112 §9.6), lest it loses the answer."""
        conn.lingered = 0
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
            self.poller.register(conn.sock, EVENT_READ, partial(self._drain, conn))
        except (OSError, ValueError):
            self._close(conn)
        else:
            self._leaving[conn] = monotonic() + LINGER_SECS

    def _drain(self, conn: TConn, _sock: Any) -> None:
        try:
            data = conn.sock.recv(RECV_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        conn.lingered += len(data)
        if not data or conn.lingered > LINGER_BYTES:
            self._close(conn)

    # Waits

    def murder_pending(self) -> None:
        """End the waits whose time is up; gunicorn calls this each second at the least."""
        super().murder_pending()
        for conn in _expired(self._arriving):
            self._turn_away(conn, TIMED_OUT)
        for conn in _expired(self._leaving):
            self._close(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        super()._cap_keepalive(deadline)
        # A connection that was never used must not hold up the stop either.
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def _stop_waiting(self, conn: TConn) -> None:
        if self._arriving.pop(conn, None) or self._leaving.pop(conn, None):
            with suppress(OSError, KeyError, ValueError):
                self.poller.unregister(conn.sock)

    def _close(self, conn: TConn) -> None:
        self._stop_waiting(conn)
        self.nr_conns -= 1
        conn.close()

    # Refusals

    def _turn_away(self, conn: TConn, refusal: Refusal) -> None:
        self._stop_waiting(conn)
        self._refuse(conn.sock, conn.client, refusal, reason=None)
        self._linger(conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer what gunicorn refuses as the application would, and quote none of it.

        Args:
            req: what was read of the request.
            client: the socket.
            addr: where it leads to.
            exc: why.
        """
        self._refuse(client, addr, refusal_of(exc), reason=exc)

    def _refuse(self, sock: Any, addr: Any, refusal: Refusal, *, reason: Exception | None) -> None:
        correlation_id = uuid4().hex
        self._log_refusal(refusal, correlation_id, reason=reason, ip=addr[0] if addr else None)
        # Nobody waits for a client that does not take its refusal.
        with suppress(OSError):
            sock.setblocking(False)
            sock.send(problem_bytes(refusal, correlation_id))

    def _log_refusal(
        self, refusal: Refusal, correlation_id: str, *, reason: Exception | None, ip: str | None
    ) -> None:
        status, code, _ = refusal
        told = {"status": int(status), "code": code, "reason": type(reason).__name__, "ip": ip}
        token = correlation_id_var.set(correlation_id)
        if refusal is INTERNAL:
            self.log.error("unhandled error", exc_info=reason, extra=told)
        else:
            # Without the exception's text, which quotes the request.
            self.log.warning("request refused", extra=told)
        correlation_id_var.reset(token)


def _expired(waits: Waits) -> list[TConn]:
    moment, found = monotonic(), []
    for conn, deadline in waits.items():
        if deadline > moment:
            break
        found.append(conn)
    return found
