"""One clock for several machines: the database server's, while it is plausible."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BindParameter
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from authserve.database.statements import UTCDateTime

MAX_DISTANCE = timedelta(seconds=35)
"""Largest plausible difference to the server's clock. Two machines' clocks may differ by 30 s; the
rest is for the time that the statement takes."""


class server_now(FunctionElement[datetime]):  # noqa: N801 - it reads as a function of SQL
    """The current time for intervals that begin on one machine and end on another.

    On PostgreSQL it is the server's time. If that differs from the caller's by more than
    `MAX_DISTANCE`, one of the clocks is wrong, and the caller's time is used. It is always used
    on SQLite, whose callers share a machine.

    Args:
        moment: the caller's current time.
    """

    type = UTCDateTime()
    inherit_cache = True

    def __init__(self, moment: BindParameter[datetime]) -> None:
        super().__init__(moment)


@compiles(server_now)
def _own(element: server_now, compiler: SQLCompiler, **kwargs: Any) -> str:
    return str(compiler.process(element.clauses, **kwargs))


@compiles(server_now, "postgresql")
def _servers(element: server_now, compiler: SQLCompiler, **kwargs: Any) -> str:
    (moment,) = element.clauses
    return _shared(_cast(moment, compiler, **kwargs))


def _cast(moment: Any, compiler: SQLCompiler, **kwargs: Any) -> str:
    return f"CAST({compiler.process(moment, **kwargs)} AS timestamptz)"


def _shared(own: str) -> str:
    distance = f"INTERVAL '{int(MAX_DISTANCE.total_seconds())} seconds'"
    return (
        f"CASE WHEN clock_timestamp() BETWEEN {own} - {distance} AND {own} + {distance} "
        f"THEN clock_timestamp() ELSE {own} END"
    )


class shared_time(FunctionElement[datetime]):  # noqa: N801 - it reads as a function of SQL
    """A time that the caller computed by its own clock, moved to the clock of `server_now`.

    Args:
        time: for example the caller's current time minus ten seconds.
        moment: the caller's current time.
    """

    type = UTCDateTime()
    inherit_cache = True

    def __init__(self, time: BindParameter[datetime], moment: BindParameter[datetime]) -> None:
        super().__init__(time, moment)


@compiles(shared_time)
def _own_time(element: shared_time, compiler: SQLCompiler, **kwargs: Any) -> str:
    time, _ = element.clauses
    return str(compiler.process(time, **kwargs))


@compiles(shared_time, "postgresql")
def _servers_time(element: shared_time, compiler: SQLCompiler, **kwargs: Any) -> str:
    time, own = (_cast(each, compiler, **kwargs) for each in element.clauses)
    return f"({time} + ({_shared(own)} - {own}))"
