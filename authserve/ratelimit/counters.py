"""Counters of ordinary limits, which fail open: no call is refused because the storage is away.

The login throttle does not use them and fails closed (`ratelimit.throttle`).
"""

import logging
import time
from datetime import timedelta
from threading import Lock

from authserve.core.container import Slot
from authserve.core.crypto import KEYRING
from authserve.ratelimit.policy import Limit
from authserve.ratelimit.storage import RedisStorage, SQLStorage, Window

logger = logging.getLogger(__name__)

PATIENCE_SECS = 1
"""Seconds after which a failed hit ends the request instead of letting it pass: a storage this slow
is the database, and the request would wait for it again (chosen, not measured)."""


class LimitCounters:
    """Counters of hits, which let calls pass while the storage is away. Safe for threads.

    The start and the end of an outage are logged, not each request during it.

    Args:
        url: `RATELIMIT_STORAGE_URL`: `database:`, `redis://…` or `rediss://…`.
    """

    def __init__(self, url: str) -> None:
        self._storage = SQLStorage() if url == "database:" else RedisStorage(url)
        self._lock = Lock()
        self._is_away = False

    def hit(self, key: str, length: timedelta) -> Window | None:
        """Count one and return the window, or None if the storage is away.

        An outage that took longer than `PATIENCE_SECS` to fail is raised instead.

        Args:
            key: the counter.
            length: length of a window, in whole seconds; the first hit begins it.
        """
        started_at = time.monotonic()
        try:
            window = self._storage.hit(key, length)
        except self._storage.outages as error:
            self._note(error)
            if time.monotonic() - started_at > PATIENCE_SECS:
                raise
            return None
        self._note(None)
        return window

    def find_fault(self) -> str | None:
        """Return why the storage does not count now, or None if it does.

        It is tried with a counter that no limit has. The reason names no address and no secret.
        """
        try:
            self._storage.hit("doctor", timedelta(seconds=1))
        except self._storage.outages as error:
            return self._storage.explain(error)
        return None

    def _note(self, error: Exception | None) -> None:
        is_away = error is not None
        with self._lock:
            has_changed, self._is_away = is_away is not self._is_away, is_away
        if has_changed and is_away:
            logger.error("ordinary limits are off: no storage", exc_info=error)
        elif has_changed:
            logger.warning("ordinary limits are on again")


LIMIT_COUNTERS = Slot[LimitCounters]("limit_counters")

PURPOSE = "limit"


def hit_limit(limit: Limit, subject: str) -> Window | None:
    """Count one by a limit, and return the window, or None if the storage is away.

    Args:
        subject: what the limit counts by; the key has a MAC of it, which does not reveal it.
    """
    digest = KEYRING.get().mac(PURPOSE, f"{limit.by}:{subject}".encode()).hex()
    # The form that Flask-Limiter gave keys, so that an upgrade keeps the counters.
    window_secs = int(limit.window.total_seconds())
    key = f"LIMITER/{digest}/{limit.name}/{limit.amount}/{window_secs}/second"
    return LIMIT_COUNTERS.get().hit(key, limit.window)


def is_within(limit: Limit, subject: str) -> bool:
    """Count one by a limit, and return False if that exceeds it; see `hit_limit`."""
    window = hit_limit(limit, subject)
    return window is None or window.hits <= limit.amount
