"""The time, from one place and in UTC.

Nothing else in the service asks the operating system for the time of day, so a test that freezes
`now()` freezes the service.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, aware, in UTC, with microseconds."""
    return datetime.now(UTC)


def to_rfc3339(moment: datetime) -> str:
    """The contract's form of a time, for example `2026-11-23T06:49:48.123456Z`.

    Raises:
        ValueError: a naive moment, which Python would take to be in the machine's own zone.
    """
    if moment.utcoffset() is None:
        raise ValueError("naive datetime: use core.clock.now()")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


@contextmanager
def taking_at_least(seconds: float) -> Iterator[None]:
    """Let a block end no sooner than that, however it ends, so that its time tells less of it."""
    ends_at = time.monotonic() + seconds
    try:
        yield
    finally:
        time.sleep(max(0.0, ends_at - time.monotonic()))
