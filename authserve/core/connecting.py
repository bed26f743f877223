"""Connecting to a database that may be away: callers are told at once, not one timeout later."""

import re
from typing import Any

import psycopg2
from sqlalchemy import Dialect, Engine, event

from authserve.core.breakers import Breaker, BreakerOpenError

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


def is_outage(error: Exception) -> bool:
    """Whether a failed connect means that the server is away; one that refuses is there."""
    return isinstance(error, psycopg2.OperationalError) and not _REFUSAL.search(str(error))


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

    @event.listens_for(engine, "do_connect")
    def _connect(
        dialect: Dialect, _record: object, args: tuple[Any, ...], parameters: dict[str, Any]
    ) -> Any:
        try:
            connection: Any = breaker.call(
                lambda: dialect.connect(*args, **parameters), is_failure=is_outage
            )
        except BreakerOpenError as error:
            raise DatabaseAwayError("the database was away a moment ago") from error
        connection.on_cut = breaker.trip
        return connection

    return (breaker,)
