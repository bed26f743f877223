"""Storages that count hits in windows: the service's own database, or Redis.

A window is fixed and begins with its first hit. Every hit is atomic and takes one round trip, so
counts are exact across all workers.
"""

from datetime import timedelta
from math import ceil
from typing import Any

from sqlalchemy import case
from sqlalchemy.exc import DBAPIError

from authserve.core.breakers import Breaker, BreakerOpenError
from authserve.core.clock import now
from authserve.core.frozen import frozen
from authserve.database.transactions import dialect_insert, writing
from authserve.ratelimit.models import TABLE, RateCounter


@frozen()
class Window:
    """The window that counted a hit.

    Args:
        hits: the window's sum, this hit included.
        ends_at: seconds since 1970.
    """

    hits: int
    ends_at: float

    @property
    def remaining_secs(self) -> int:
        """Whole seconds until the next window can begin, at least 1."""
        return max(1, ceil(self.ends_at - now().timestamp()))


class SQLStorage:
    """Counters in the service's own database.

    A hit runs in AUTOCOMMIT, so it stays committed if the request fails.
    """

    outages: tuple[type[Exception], ...] = (DBAPIError,)
    """Exceptions that `hit` raises while the database is away.

    An exhausted pool is no outage: a flood must not switch off the limits that should stop it."""

    def hit(self, key: str, length: timedelta) -> Window:
        """Count one and return the window.

        Args:
            key: the counter.
            length: length of a window.
        """
        moment = now()
        insert = dialect_insert(RateCounter).values(key=key, hits=1, expires_at=moment + length)
        is_over = TABLE.c.expires_at <= moment
        upsert = insert.on_conflict_do_update(
            index_elements=[TABLE.c.key],
            set_={
                "hits": case((is_over, 1), else_=TABLE.c.hits + 1),
                "expires_at": case((is_over, insert.excluded.expires_at), else_=TABLE.c.expires_at),
            },
        ).returning(TABLE.c.hits, TABLE.c.expires_at)
        with writing() as connection:
            hits, expires_at = connection.execute(upsert).one()
        return Window(hits, expires_at.timestamp())

    def explain(self, _error: Exception) -> str:
        """Return the reason of an outage."""
        return "the database does not serve"


REDIS_TIMEOUT_SECS = 0.1
"""Seconds to connect, and seconds to wait for an answer. A call has at most two limits, so a Redis
that hangs delays it by at most 0.4 s before the breaker opens; a healthy Redis answers in about a
millisecond (chosen, not measured)."""

REDIS_FAILURES = 2
REDIS_RESET_SECS = 5
"""Consecutive failures that open the breaker, and seconds that it stays open. A single lost packet
does not switch limits off, and limits work again within five seconds after Redis does (chosen, not
measured)."""

REDIS_PREFIX = "LIMITS:"
"""Prefix of all keys in Redis; an upgrade that changes it forgets the counters."""

HIT = """
local hits = redis.call("incr", KEYS[1])
local left_ms = redis.call("pttl", KEYS[1])
if left_ms < 0 then
    redis.call("expire", KEYS[1], ARGV[1])
    left_ms = ARGV[1] * 1000
end
return {hits, left_ms}
"""
"""Script that Redis runs atomically. A key without an expiry, which a crash could leave, gets
one."""


_FAULTS = {
    "AuthenticationError": "it refuses the user or the password",
    "AuthorizationError": "it refuses the user or the password",
    "BusyLoadingError": "it is loading its data",
    "TimeoutError": f"it does not answer within {REDIS_TIMEOUT_SECS:g} s",
    "ConnectionError": "it cannot be reached",
}
"""By the name of the Redis library's class, so that the library need not be loaded; a class comes
before the one that it extends."""

_FAULTS_OF_SCRIPTS = {
    "OOM": "its memory is full: raise maxmemory",
    "READONLY": "it is a replica, which takes no writes",
}
"""By a word of the answer: Redis 6 wraps the error of a script's command into one of its own."""


class RedisStorage:
    """Counters in Redis.

    Args:
        url: `redis://…` or `rediss://…`; the first hit opens the connection.
    """

    def __init__(self, url: str) -> None:
        # Most services count in their database. They need not load these 61 modules and 5 MB.
        from redis import Redis, RedisError

        # A client made from a URL tries once; other clients of the Redis library retry for seconds.
        client = Redis.from_url(
            url, socket_timeout=REDIS_TIMEOUT_SECS, socket_connect_timeout=REDIS_TIMEOUT_SECS
        )
        self._hit: Any = client.register_script(HIT)
        self._breaker = Breaker("limits", failures=REDIS_FAILURES, reset_secs=REDIS_RESET_SECS)
        self.outages: tuple[type[Exception], ...] = (RedisError, BreakerOpenError)
        """Exceptions that `hit` raises while Redis is away."""

    def hit(self, key: str, length: timedelta) -> Window:
        """Count one and return the window; see `SQLStorage.hit`.

        Args:
            key: the counter.
            length: length of a window, in whole seconds.
        """
        keys, arguments = [f"{REDIS_PREFIX}{key}"], [int(length.total_seconds())]
        hits, left_ms = self._breaker.call(lambda: self._hit(keys, arguments))
        return Window(int(hits), now().timestamp() + int(left_ms) / 1000)

    def explain(self, error: Exception) -> str:
        """Return the reason of an outage, without an address or a secret."""
        text = str(error)
        names = [base.__name__ for base in type(error).__mro__]
        faults = [fault for word, fault in _FAULTS_OF_SCRIPTS.items() if word in text]
        faults += [_FAULTS[name] for name in names if name in _FAULTS]
        return next(iter(faults), type(error).__name__)
