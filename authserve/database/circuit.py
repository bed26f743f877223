"""The circuit breaker of database connections: during an outage callers fail at once."""

import re
import weakref
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Any

import psycopg2
from sqlalchemy import Dialect, Engine, event
from sqlalchemy.exc import DisconnectionError

from authserve.core.breakers import Breaker, BreakerOpenError
from authserve.database.watchdog import WatchedConnection

PROBE_THREAD = "database"
"""Name of the thread that tries to connect while the breaker is not closed."""

BREAKER_FAILURES = 3
BREAKER_RESET_SECS = 2.0
"""Both are low, since a failing connect may take its whole 3 s (both chosen, not measured)."""

_REFUSAL = re.compile(r"\bFATAL: +(?! |the database system is )")
"""A server's refusal: wrong password or database name, or no connection left.

A server that starts up, shuts down or recovers answers "the database system is …" (SQLSTATE
57P03) and does not match. The text is matched since libpq keeps no SQLSTATE of a failed connect.
"""


class DatabaseAwayError(psycopg2.OperationalError):  # type: ignore[misc]
    """The breaker is open: no connect was tried, since the last ones failed."""


def loggable_error(error: Exception) -> Exception | None:
    """Return the error to log with its traceback, or None if the breaker has logged the outage.

    One traceback per request would drown all other log lines.
    """
    return None if isinstance(getattr(error, "orig", None), DatabaseAwayError) else error


def is_outage(error: Exception) -> bool:
    """Return True if a failed connect means an outage; a server that refuses is up."""
    return isinstance(error, psycopg2.OperationalError) and not _REFUSAL.search(str(error))


class _GuardedConnect:
    """The breaker around an engine's connects.

    While the breaker is not closed, a thread tries to connect. So no caller waits for the
    connect's timeout, and a process without requests recovers too.
    """

    def __init__(self, breaker: Breaker) -> None:
        self.breaker = breaker
        self._lock = Lock()
        self._prober: Thread | None = None
        self._is_disposed = Event()
        self._attempt: Callable[[], Any]

    def connect(
        self, dialect: Dialect, _record: object, args: tuple[Any, ...], parameters: dict[str, Any]
    ) -> Any:
        """Connect through the breaker; handles SQLAlchemy's event `do_connect`.

        Raises:
            DatabaseAwayError: the breaker is open, or a thread probes the server.
        """
        self._attempt = lambda: dialect.connect(*args, **parameters)
        if self._is_probed():
            raise DatabaseAwayError("the database was away a moment ago")
        try:
            connection = self.breaker.call(self._attempt, is_failure=is_outage)
        except BreakerOpenError as error:
            raise DatabaseAwayError("the database was away a moment ago") from error
        finally:
            self._start_probing()
        connection.on_cut = self._trip
        return connection

    def _trip(self) -> None:
        self.breaker.trip()
        self._start_probing()

    def _is_probed(self) -> bool:
        if self.breaker.is_closed:
            return False
        return self._prober is not None and self._prober.is_alive()

    def _start_probing(self) -> None:
        """Start the probing thread, unless the breaker is closed or one runs."""
        with self._lock:
            if self.breaker.is_closed or self._is_probed():
                return
            self._is_disposed = Event()
            # The thread keeps only a weak reference: it ends once the engine is unused.
            self._prober = Thread(
                target=_probe_until_closed,
                args=[weakref.ref(self), self._is_disposed],
                name=PROBE_THREAD,
                daemon=True,
            )
            # If no thread can be started, callers try to connect themselves.
            with suppress(RuntimeError):
                self._prober.start()

    def stop_probing(self, _engine: Engine) -> None:
        """End the probing thread; handles SQLAlchemy's event `engine_disposed`.

        A later connect that fails starts another.
        """
        with self._lock:
            self._is_disposed.set()

    def probe(self) -> bool:
        """Try to connect if the breaker admits a call; return True while it is not closed."""
        with suppress(Exception):
            self.breaker.call(self._attempt, is_failure=is_outage).close()
        return not self.breaker.is_closed


def _probe_until_closed(found: "weakref.ref[_GuardedConnect]", is_disposed: Event) -> None:
    while (guard := found()) is not None and guard.probe():
        del guard
        if is_disposed.wait(_PROBE_PAUSE_SECS):
            return


_PROBE_PAUSE_SECS = 0.25
"""Seconds between two attempts of the probing thread (chosen, not measured)."""


def guard_connections(engine: Engine) -> tuple[Breaker, ...]:
    """Make `engine` connect through a circuit breaker; a SQLite file needs none.

    A statement that finds the server frozen opens the breaker too: callers that need a new
    connection then fail at once.

    Returns:
        The breaker, or an empty tuple for SQLite. A forked process has its own copy.
    """
    if engine.dialect.name != "postgresql":
        return ()
    breaker = Breaker("database", failures=BREAKER_FAILURES, reset_secs=BREAKER_RESET_SECS)
    guard = _GuardedConnect(breaker)
    event.listen(engine, "do_connect", guard.connect)
    event.listen(engine, "engine_disposed", guard.stop_probing)
    event.listen(engine, "checkout", _replace_ended)
    return (breaker,)


def _replace_ended(connection: WatchedConnection, _record: object, _fairy: object) -> None:
    """Make the pool replace a connection that ended while it was idle.

    Reads are retried anyway, but a transaction cannot be repeated. SQLAlchemy's `pool_pre_ping`
    would cost a round trip; this costs none.

    Raises:
        DisconnectionError: the connection has ended; the pool opens another.
    """
    if connection.has_ended():
        raise DisconnectionError
