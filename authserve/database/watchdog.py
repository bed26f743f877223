"""What ends a statement that the database server does not: the server itself may be frozen.

`statement_timeout` is the server's own, and the kernel of a paused machine goes on acknowledging,
so neither it nor TCP keepalives ever end such a wait. One thread a process looks at the statements
that run, and shuts the sockets of those that have run for too long.

psycopg2's wait callbacks could do the same without a thread, and would cost as much (measured: a
microsecond a statement). But libpq's timeout of a connect, which goes on to a host's next address,
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
"""How long after the server's own timeout a statement is ended, in seconds (chosen)."""

STATEMENT_LIMIT_SECS = 5 + WATCHDOG_DELAY_SECS
"""Past the server's own 5 s, of which it would have told; callers hear of it within 6 s."""

_ROUND_SECS = 0.25
"""How often the running statements are looked at (chosen, not measured)."""

_REST_SECS = 0.1
"""A server takes longer to restart (chosen, not measured)."""


class ServerFrozenError(psycopg2.OperationalError):  # type: ignore[misc]
    """The server neither answered a statement nor ended it; its connection has been cut."""


class WatchedConnection(psycopg2.extensions.connection):  # type: ignore[misc]
    """A connection that tells since when it waits for the server.

    What goes on longer than the server would let it is cut. Callers that raise
    `statement_timeout` for a statement of theirs must set `is_limited` to False.

    Args:
        limit_secs: after how many seconds a statement is cut; None for never.
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
        # A descriptor of its own for the same socket: libpq may close its one at any moment, and
        # whatever is opened next would have that number.
        self._line = os.dup(self.fileno())
        weakref.finalize(self, os.close, self._line)
        self._readable = select.poll()
        self._readable.register(self._line, select.POLLIN)
        self.rests_since = time.monotonic()
        _WATCHDOG.watch(self)

    def commit(self) -> None:
        """Commit, watched."""
        with _Wait(self):
            super().commit()

    def rollback(self) -> None:
        """Roll back, watched."""
        with _Wait(self):
            super().rollback()

    def has_ended(self) -> bool:
        """Whether the server has hung up since the last statement; the server is not asked.

        A connection at rest has nothing to read, unless its end.
        """
        # One in constant use would pay for the look each time, and shows its end soon anyway.
        if time.monotonic() - self.rests_since < _REST_SECS:
            return False
        return bool(self._readable.poll(0))

    def cut(self) -> None:
        """Shut the socket: whoever waits for the server gets an error at once."""
        self.was_cut = True
        # First, so that whoever the error wakes finds it done.
        self.on_cut()
        with socket.socket(fileno=os.dup(self._line)) as line, suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)


class _Wait:
    """A wait for the server that the watchdog may end.

    Raises:
        ServerFrozenError: it did.
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
    """Looks at all connections of the process; its thread begins with the first of them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._connections: weakref.WeakSet[WatchedConnection] = weakref.WeakSet()
        self._thread: Thread | None = None

    def watch(self, connection: WatchedConnection) -> None:
        with self._lock:
            self._connections.add(connection)
            # In a forked process its parent's thread is not alive.
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
            # Or the last one would live on here until the next round.
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
