"""Many callers at once, for tests of races."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Protocol, TypeVar

from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

T = TypeVar("T")

DEADLINE_SECS = 300
"""Seconds after which a test gives up; every event comes much sooner, or never."""


class Answer(Protocol):
    """A response, of Flask's test client or of `requests`."""

    @property
    def status_code(self) -> int:
        """Its status."""


AnswerT = TypeVar("AnswerT", bound=Answer)


def all_at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Make every call in a thread of its own, after all the threads have started.

    Returns:
        What came of each, in their order; the first exception is raised.
    """
    barrier = Barrier(len(calls), timeout=DEADLINE_SECS)

    def run(call: Callable[[], T]) -> T:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(max_workers=len(calls)) as threads:
        return list(threads.map(run, calls))


def served(call: Callable[[], T]) -> T:
    """Call again for as long as the database is too busy, as the HTTP layer asks clients to."""
    give_up = time.monotonic() + DEADLINE_SECS
    while True:
        try:
            return call()
        except (OperationalError, PoolTimeoutError):
            assert time.monotonic() < give_up
            time.sleep(0.05)


def persistently(call: Callable[[], AnswerT]) -> AnswerT:
    """Call again for as long as the answer is 503, as `Retry-After` asks clients to.

    On a busy machine a crowd may well get 503; only the last answer counts.
    """
    give_up = time.monotonic() + DEADLINE_SECS
    while (answer := call()).status_code == 503:
        assert time.monotonic() < give_up
        time.sleep(0.05)
    return answer
