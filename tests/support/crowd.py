"""Many callers at once, for tests of races."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from authserve.database.transactions import db
from authserve.passwords.queue import HasherBusyError

T = TypeVar("T")

DEADLINE_SECS = 300
"""Seconds after which a test gives up; every event comes much sooner, or never."""


def all_at_once(calls: Sequence[Callable[[], T]], *, until_served: bool = True) -> list[T]:
    """Make every call in a thread of its own, after all the threads have started.

    Args:
        until_served: False for a test of refusals: else each caller repeats what the service is
            too busy for, as `persistently` does, since a crowd gets that on any machine
            that is slow enough.

    Returns:
        What came of each, in their order; the first exception is raised.
    """
    barrier = Barrier(len(calls), timeout=DEADLINE_SECS)

    def run(call: Callable[[], T]) -> T:
        barrier.wait()
        return persistently(call) if until_served else call()

    with ThreadPoolExecutor(max_workers=len(calls)) as threads:
        return list(threads.map(run, calls))


def persistently(call: Callable[[], T]) -> T:
    """Call again for as long as the answer is 503, as `Retry-After` asks clients to.

    A call of the service's own functions is repeated for as long as the database or the hashing
    thread is too busy. On a slow machine a crowd may well meet that; only the last answer counts.
    A call that has effects before it fails, or requires an answer, repeats the failing part itself.
    """
    give_up = time.monotonic() + DEADLINE_SECS
    while True:
        try:
            answer = call()
        except (PoolTimeoutError, HasherBusyError):
            pass
        except DBAPIError as error:
            # A connection that was cut has other errors after the first.
            if not (isinstance(error, OperationalError) or error.connection_invalidated):
                raise
        else:
            if _status_of(answer) != 503:
                return answer
        assert time.monotonic() < give_up
        time.sleep(0.05)


def within(limit_secs: float, attempt: Callable[[], T]) -> T:
    """Repeat an attempt until it takes less than a limit, and return the result of the last one.

    A test of calls that count as simultaneous needs it: on a slow machine the last of them may come
    too late for that.
    """
    give_up = time.monotonic() + DEADLINE_SECS
    while True:
        began_at = time.monotonic()
        result = attempt()
        ended_at = time.monotonic()
        if ended_at - began_at < limit_secs:
            return result
        assert ended_at < give_up


def _status_of(answer: object) -> object:
    """Return the status of a response or of a page that a test's browser shows."""
    return getattr(answer, "status_code", getattr(answer, "status", answer))


def wait_until_a_connection_waits_for_a_lock() -> None:
    """Wait until a connection to this database of PostgreSQL waits for a row or table."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    give_up = time.monotonic() + DEADLINE_SECS
    with db.engine.connect() as connection:
        while not connection.execute(waiting).scalar():
            assert time.monotonic() < give_up
            time.sleep(0.01)
            connection.rollback()
