"""The storage that Flask-Limiter is given: it counts where the running application says.

Flask-Limiter keeps one storage for good; ours finds that of the application at work. It fails
open: an outage of the storage refuses nobody. (The login throttle does not go this way; see
`ratelimit.service`.)
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import cast

from limits.storage import Storage

from authserve.core.container import component
from authserve.ratelimit.storage.window import Window, WindowStorage

logger = logging.getLogger(__name__)

PATIENCE_SECS = 1
"""A storage that kept a request longer than this ends it, instead of failing open: it is the
database, and the request would wait for it once more (chosen, not measured)."""

LIMIT_COUNTERS_EXTENSION = "authserve.limit_counters"

_windows: ContextVar[dict[str, Window] | None] = ContextVar("windows", default=None)


@contextmanager
def counting() -> Iterator[dict[str, Window]]:
    """Collect the windows of what is counted in the block, by key."""
    windows: dict[str, Window] = {}
    token = _windows.set(windows)
    try:
        yield windows
    finally:
        _windows.reset(token)


def counted_window(key: str) -> Window:
    """The window of a hit in this `counting` block.

    Raises:
        KeyError: there was none, or it could not be counted.
    """
    return (_windows.get() or {})[key]


class LimitCounters:
    """Counts hits, or lets them pass while the storage is away. Safe for threads.

    The way into an outage and out of it is logged, and not each request within it.
    """

    def __init__(self, storage: WindowStorage) -> None:
        self._storage = storage
        self._lock = Lock()
        self._is_away = False

    def hit(self, key: str, expiry: int, amount: int) -> Window | None:
        """Count, and tell the window; None if the storage is away."""
        started_at = time.monotonic()
        try:
            window = self._storage.hit(key, expiry, amount)
        except self._storage.outages as error:
            self._note(error)
            if time.monotonic() - started_at > PATIENCE_SECS:
                raise
            return None
        self._note(None)
        return window

    def is_reachable(self) -> bool:
        """Whether the storage answers now."""
        return self._storage.check()

    def _note(self, error: Exception | None) -> None:
        is_away = error is not None
        with self._lock:
            has_changed, self._is_away = is_away is not self._is_away, is_away
        if has_changed and is_away:
            logger.error("ordinary limits are off: no storage", exc_info=error)
        elif has_changed:
            logger.warning("ordinary limits are on again")


def get_limit_counters() -> LimitCounters:
    """The counters of the application at work."""
    return cast(LimitCounters, component(LIMIT_COUNTERS_EXTENSION))


class CurrentStorage(Storage):
    """Hands hits to the application's `LimitCounters`; nothing is read back from it."""

    STORAGE_SCHEME = ["current"]  # noqa: RUF012 - the library's own declaration

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        """What the library may wrap; there is nothing."""
        return ()

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count `amount`; 0, which exceeds no limit, if the storage is away."""
        window = get_limit_counters().hit(key, expiry, amount)
        if window is None:
            return 0
        collected = _windows.get()
        if collected is not None:
            collected[key] = window
        return window.hits

    def get(self, key: str) -> int:
        """Not offered, like all below: what a request needs, its own hits have told."""
        raise NotImplementedError

    def get_expiry(self, key: str) -> float:
        """See `get`."""
        raise NotImplementedError

    def check(self) -> bool:
        """See `get`."""
        raise NotImplementedError

    def reset(self) -> int | None:
        """See `get`."""
        raise NotImplementedError

    def clear(self, key: str) -> None:
        """See `get`."""
        raise NotImplementedError
