"""Storage for the counters of ordinary limits, in the database or in Redis; it fails open."""

from authserve.ratelimit.storage.current import LIMIT_COUNTERS, LimitCounters
from authserve.ratelimit.storage.redis import RedisStorage
from authserve.ratelimit.storage.sql import TABLE, SQLStorage
from authserve.ratelimit.storage.window import Window, WindowStorage


def make_counters(url: str) -> LimitCounters:
    """Return counters in the storage that `RATELIMIT_STORAGE_URL` names.

    Args:
        url: `database:`, `redis://…` or `rediss://…`.
    """
    return LimitCounters(SQLStorage() if url == "database:" else RedisStorage(url))


__all__ = [
    "LIMIT_COUNTERS",
    "TABLE",
    "LimitCounters",
    "RedisStorage",
    "SQLStorage",
    "Window",
    "WindowStorage",
    "make_counters",
]
