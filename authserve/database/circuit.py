"""Connecting to a database that may be away: callers are told at once, not one timeout later."""

import re
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from threading import Lock, Thread
from typing import Any

import psycopg2
from sqlalchemy import Dialect, Engine, event
from sqlalchemy.exc import DisconnectionError

from authserve.core.breakers import Breaker, BreakerOpenError
from authserve.database.watchdog import WatchedConnection

BREAKER_FAILURES = 3
BREAKER_RESET_SECS = 2.0
"""Low, since a connect may take its whole 3 s to fail (both chosen, not measured)."""

_REFUSAL = re.compile(r"\bFATAL: +(?! |the database system is )")
"""What a server says to a wrong password or name, or when it has no connection left to give.

Of a server that is just starting up, shutting down or recovering, it says "the database system
is …" (SQLSTATE 57P03); libpq keeps no SQLSTATE of a failed connect.
"""


class DatabaseAwayError(psycopg2.OperationalError):  # type: ignore[misc]
    """The database was away a moment ago, and has not been asked."""


def unheard(error: Exception) -> Exception | None:
    """The error, for a log that would show where it came from; None if the log has heard of it.

    That is so of a breaker that is open: a traceback a request would drown everything else.
    """
    return None if isinstance(getattr(error, "orig", None), DatabaseAwayError) else error


def is_outage(error: Exception) -> bool:
    """Whether a failed connect means that the server is away; one that refuses is there."""
    return isinstance(error, psycopg2.OperationalError) and not _REFUSAL.search(str(error))


class _Door:
    """What an engine's connects go through.

    While the breaker is not closed, no caller has to try, which could take the connect's whole
    timeout: a thread looks, so a process to which nobody comes heals as well.
    """

    def __init__(self, breaker: Breaker) -> None:
        self.breaker = breaker
        self._lock = Lock()
        self._lookout: Thread | None = None
        self._attempt: Callable[[], Any]

    def connect(
        self, dialect: Dialect, _record: object, args: tuple[Any, ...], parameters: dict[str, Any]
    ) -> Any:
        """SQLAlchemy's event `do_connect`.

        Raises:
            DatabaseAwayError: the breaker is open.
        """
        self._attempt = lambda: dialect.connect(*args, **parameters)
        if self._is_looked_after():
            raise DatabaseAwayError("the database was away a moment ago")
        try:
            connection = self.breaker.call(self._attempt, is_failure=is_outage)
        except BreakerOpenError as error:
            raise DatabaseAwayError("the database was away a moment ago") from error
        finally:
            self._look_out()
        connection.on_cut = self._trip
        return connection

    def _trip(self) -> None:
        self.breaker.trip()
        self._look_out()

    def _is_looked_after(self) -> bool:
        if self.breaker.is_closed:
            return False
        return self._lookout is not None and self._lookout.is_alive()

    def _look_out(self) -> None:
        with self._lock:
            if self.breaker.is_closed or self._is_looked_after():
                return
            # It holds on to nothing: an engine that nobody uses any more needs no lookout.
            self._lookout = Thread(
                target=_look_until_closed, args=[weakref.ref(self)], name="database", daemon=True
            )
            # Where no thread can be had, callers look themselves.
            with suppress(RuntimeError):
                self._lookout.start()

    def look(self) -> bool:
        """Try to connect, if the breaker has rested; returns whether to go on looking."""
        with suppress(Exception):
            self.breaker.call(self._attempt, is_failure=is_outage).close()
        return not self.breaker.is_closed


def _look_until_closed(found: "weakref.ref[_Door]") -> None:
    while (door := found()) is not None and door.look():
        del door
        time.sleep(_LOOK_SECS)


_LOOK_SECS = 0.25
"""How often the lookout asks whether the breaker has rested (chosen, not measured)."""


def guard_connections(engine: Engine) -> tuple[Breaker, ...]:
    """Let `engine` connect through a circuit breaker.

    A statement that finds the server frozen opens it, too: what waits for a connection then is
    told at once. A file of SQLite is never away, and needs none.

    Returns:
        The breaker, if there is one. A process that is forked has a copy of its own.
    """
    if engine.dialect.name != "postgresql":
        return ()
    breaker = Breaker("database", failures=BREAKER_FAILURES, reset_secs=BREAKER_RESET_SECS)
    event.listen(engine, "do_connect", _Door(breaker).connect)
    event.listen(engine, "checkout", _replace_ended)
    return (breaker,)


def _replace_ended(connection: WatchedConnection, _record: object, _fairy: object) -> None:
    """Have the pool open another connection for one that ended while nobody used it.

    Reads are tried again; but of a transaction nobody knows how to repeat it. This costs no round
    trip, as SQLAlchemy's `pool_pre_ping` does.
    """
    if connection.has_ended():
        raise DisconnectionError
