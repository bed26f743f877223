"""How long the request under way has waited before a thread could begin with it."""

import time
from contextvars import ContextVar

arrived_at: ContextVar[float | None] = ContextVar("arrived_at", default=None)
"""When all of it had come, by the monotonic clock, where its server tells."""


def waited_secs() -> float:
    """Seconds since then; none where nobody knows."""
    since = arrived_at.get()
    return 0.0 if since is None else time.monotonic() - since
