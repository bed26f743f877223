"""The time that the current request has waited since it arrived."""

import time
from contextvars import ContextVar

arrived_at: ContextVar[float | None] = ContextVar("arrived_at", default=None)
"""The monotonic time at which the whole request had arrived; None if the server does not set it."""


def waited_secs() -> float:
    """Return the seconds since the request arrived, or 0 if the arrival time is unknown."""
    since = arrived_at.get()
    return 0.0 if since is None else time.monotonic() - since
