"""The only source of the time of day, in UTC.

No other module reads the time of day from the operating system. So a test that freezes `now()`
freezes the service.

The time that the current request has waited comes from the monotonic clock.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time: aware, in UTC, with microseconds."""
    return datetime.now(UTC)


def to_rfc3339(moment: datetime) -> str:
    """Return a time in the API's form, for example `2026-11-23T06:49:48.123456Z`.

    Raises:
        ValueError: the time is naive; Python would treat it as local time.
    """
    if moment.utcoffset() is None:
        raise ValueError("naive datetime: use core.clock.now()")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def to_rfc3339_or_none(moment: datetime | None) -> str | None:
    """Return a time like `to_rfc3339`, or None for None."""
    return None if moment is None else to_rfc3339(moment)


@contextmanager
def taking_at_least(seconds: float) -> Iterator[None]:
    """Sleep at the end of a block until `seconds` have passed, also if it raises.

    This hides from a client which path a block took, unless the block takes longer.
    """
    ends_at = time.monotonic() + seconds
    try:
        yield
    finally:
        time.sleep(max(0.0, ends_at - time.monotonic()))


arrived_at: ContextVar[float | None] = ContextVar("arrived_at", default=None)
"""The monotonic time at which the whole request had arrived; None if the server does not set it."""


def waited_secs() -> float:
    """Return the seconds since the request arrived, or 0 if the arrival time is unknown."""
    since = arrived_at.get()
    return 0.0 if since is None else time.monotonic() - since
