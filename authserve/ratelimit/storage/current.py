"""Flask-Limiter's storage: it counts in the storage of the current application.

Flask-Limiter never changes its storage object, so this one looks up the current application's
counters at each hit. It fails open: no call is refused because the storage is away. The login
throttle does not use it and fails closed (`ratelimit.throttle`).
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock

from limits.storage import Storage

from authserve.core.container import Slot
from authserve.ratelimit.storage.window import Window, WindowStorage

logger = logging.getLogger(__name__)

PATIENCE_SECS = 1
"""Seconds after which a failed hit ends the request instead of letting it pass: a storage this slow
is the database, and the request would wait for it again (chosen, not measured)."""


_windows: ContextVar[dict[str, Window] | None] = ContextVar("windows", default=None)


@contextmanager
def counting() -> Iterator[dict[str, Window]]:
    """Collect, by key, the windows of all hits in the `with` block."""
    windows: dict[str, Window] = {}
    token = _windows.set(windows)
    try:
        yield windows
    finally:
        _windows.reset(token)


def counted_window(key: str) -> Window:
    """Return the window of a hit in this `counting` block.

    Raises:
        KeyError: there was no hit of this key, or the storage could not count it.
    """
    return (_windows.get() or {})[key]


class LimitCounters:
    """Counters of hits, which let calls pass while the storage is away. Safe for threads.

    The start and the end of an outage are logged, not each request during it.
    """

    def __init__(self, storage: WindowStorage) -> None:
        self._storage = storage
        self._lock = Lock()
        self._is_away = False

    def hit(self, key: str, expiry: int, amount: int) -> Window | None:
        """Count `amount` and return the window, or None if the storage is away.

        An outage that took longer than `PATIENCE_SECS` to fail is raised instead.
        """
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
        """Return True if the storage answers now; see the storage's `check`."""
        return self._storage.check()

    def _note(self, error: Exception | None) -> None:
        is_away = error is not None
        with self._lock:
            has_changed, self._is_away = is_away is not self._is_away, is_away
        if has_changed and is_away:
            logger.error("ordinary limits are off: no storage", exc_info=error)
        elif has_changed:
            logger.warning("ordinary limits are on again")


LIMIT_COUNTERS = Slot[LimitCounters]("limit_counters")


class CurrentStorage(Storage):
    """Storage that passes hits to the application's `LimitCounters`; it cannot be read."""

    STORAGE_SCHEME = ["current"]  # noqa: RUF012 - the library's own declaration

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        """Exceptions that the library may wrap: none."""
        return ()

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count `amount` and return the window's sum, or 0 if the storage is away.

        0 exceeds no limit.
        """
        window = LIMIT_COUNTERS.get().hit(key, expiry, amount)
        if window is None:
            return 0
        collected = _windows.get()
        if collected is not None:
            collected[key] = window
        return window.hits

    def get(self, key: str) -> int:
        """Raise NotImplementedError: a request needs only the windows that its hits return."""
        raise NotImplementedError

    def get_expiry(self, key: str) -> float:
        """Raise NotImplementedError; see `get`."""
        raise NotImplementedError

    def check(self) -> bool:
        """Raise NotImplementedError; see `get`."""
        raise NotImplementedError

    def reset(self) -> int | None:
        """Raise NotImplementedError; see `get`."""
        raise NotImplementedError

    def clear(self, key: str) -> None:
        """Raise NotImplementedError; see `get`."""
        raise NotImplementedError
