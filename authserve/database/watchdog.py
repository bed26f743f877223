"""The watchdog: it ends statements that a frozen database server does not end.

A frozen server does not apply its `statement_timeout`, and its kernel may still acknowledge TCP
keepalives, so neither ends the wait. One thread per process checks the running statements, and
shuts the sockets of those that run too long.

psycopg2's wait callbacks could do the same without a thread, at the same cost (measured: a
microsecond a statement). But libpq's connect timeout, which moves on to a host's next address,
does not work with them.
"""

import logging
import os
import select
import socket
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from threading import Lock, Thread
from types import TracebackType
from typing import Any

import psycopg2.extensions

logger = logging.getLogger(__name__)

WATCHDOG_DELAY_SECS = 0.5
"""Seconds from the server's own timeout until the watchdog ends a statement (chosen)."""

STATEMENT_LIMIT_SECS = 5 + WATCHDOG_DELAY_SECS
"""Limit of a statement in seconds: later than the server's own 5 s, so that a working server
reports the timeout itself. Callers get the error within 6 s."""

_ROUND_SECS = 0.25
"""Seconds between two checks of the running statements (chosen, not measured)."""

_REST_SECS = 0.1
"""Idle time in seconds below which a connection counts as alive; a server takes longer to restart
(chosen, not measured)."""


class ServerFrozenError(psycopg2.OperationalError):  # type: ignore[misc]
    """The server neither answered a statement nor ended it; the connection was cut."""


class WatchedConnection(psycopg2.extensions.connection):  # type: ignore[misc]
    """A connection that the watchdog cuts if a statement runs too long.

    Callers that raise `statement_timeout` must set `is_limited = False`.

    Args:
        limit_secs: seconds after which the connection of a statement is cut; None for never.
    """

    is_limited = True
    waits_since: float | None = None
    was_cut = False
    on_cut: Callable[[], None] = staticmethod(lambda: None)

    def __init__(
        self, *args: Any, limit_secs: float | None = STATEMENT_LIMIT_SECS, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.limit_secs = limit_secs
        self.cursor_factory = _WatchedCursor
        # A second descriptor of the same socket: libpq may close its own at any time, and the
        # next file opened would get that number.
        self._line = os.dup(self.fileno())
        weakref.finalize(self, os.close, self._line)
        self._readable = select.poll()
        self._readable.register(self._line, select.POLLIN)
        self.rests_since = time.monotonic()
        _WATCHDOG.watch(self)

    def commit(self) -> None:
        """Commit under the watchdog."""
        with _Wait(self):
            super().commit()

    def rollback(self) -> None:
        """Roll back under the watchdog."""
        with _Wait(self):
            super().rollback()

    def has_ended(self) -> bool:
        """Return True if the server closed the connection while it was idle; costs no round trip.

        The socket of an idle connection is readable only at its end.
        """
        # A connection in constant use would pay for each check, and its end shows soon anyway.
        if time.monotonic() - self.rests_since < _REST_SECS:
            return False
        return bool(self._readable.poll(0))

    def cut(self) -> None:
        """Shut the socket, so that the waiting caller gets an error at once."""
        self.was_cut = True
        # Called before the shutdown, so that it is done when the caller gets the error.
        self.on_cut()
        with socket.socket(fileno=os.dup(self._line)) as line, suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)


class _Wait:
    """A wait for the server that the watchdog may end.

    Raises:
        ServerFrozenError: the watchdog ended the wait.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: WatchedConnection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.waits_since = time.monotonic()

    def __exit__(
        self, _kind: object, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._connection.waits_since = None
        self._connection.rests_since = time.monotonic()
        if self._connection.was_cut and isinstance(error, psycopg2.Error):
            raise ServerFrozenError("the server does not answer") from error


class _WatchedCursor(psycopg2.extensions.cursor):  # type: ignore[misc]
    connection: WatchedConnection

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002 - psycopg2's name
        with _Wait(self.connection):
            super().execute(query, vars)

    def executemany(self, query: Any, vars_list: Any) -> None:
        with _Wait(self.connection):
            super().executemany(query, vars_list)


class _Watchdog:
    """The check of all connections of a process; its thread starts with the first connection."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._connections: weakref.WeakSet[WatchedConnection] = weakref.WeakSet()
        self._thread: Thread | None = None

    def watch(self, connection: WatchedConnection) -> None:
        with self._lock:
            self._connections.add(connection)
            # A forked process does not have its parent's thread.
            if self._thread is None or not self._thread.is_alive():
                self._thread = Thread(target=self._run, name="database-watchdog", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            time.sleep(_ROUND_SECS)
            with self._lock:
                connections = list(self._connections)
            for connection in connections:
                _cut_if_frozen(connection)
            # Otherwise the list would keep closed connections alive until the next round.
            del connections


def _cut_if_frozen(connection: WatchedConnection) -> None:
    began = connection.waits_since
    limit_secs = connection.limit_secs
    if began is None or limit_secs is None or not connection.is_limited or connection.was_cut:
        return
    if time.monotonic() - began >= limit_secs:
        logger.error("database server frozen: connection cut")
        connection.cut()


_WATCHDOG = _Watchdog()
