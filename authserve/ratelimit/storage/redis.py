"""Counters in Redis: the `limits` library's storage, with the window's end in the same answer."""

from typing import Any, cast

from limits.storage import RedisStorage as LibraryStorage

from authserve.core.breakers import Breaker, BreakerOpenError
from authserve.core.clock import now
from authserve.ratelimit.storage.window import Window

TIMEOUT_SECS = 0.1
"""Seconds to connect, and seconds to wait for an answer. A call has at most two limits, so a Redis
that hangs delays it by at most 0.4 s before the breaker opens; a healthy Redis answers in about a
millisecond (chosen, not measured)."""

FAILURES = 2
RESET_SECS = 5
"""Consecutive failures that open the breaker, and seconds that it stays open. A single lost packet
does not switch limits off, and limits work again within five seconds after Redis does (chosen, not
measured)."""

HIT = """
local hits = redis.call("incrby", KEYS[1], ARGV[2])
local left_ms = redis.call("pttl", KEYS[1])
if left_ms < 0 then
    redis.call("expire", KEYS[1], ARGV[1])
    left_ms = ARGV[1] * 1000
end
return {hits, left_ms}
"""
"""Script that Redis runs atomically. A key without an expiry, which a crash could leave, gets
one."""


class RedisStorage(LibraryStorage):
    """Fixed windows that begin with their first hit.

    Args:
        url: `redis://…` or `rediss://…`; the first hit opens the connection.
    """

    # The library finds storages by URL scheme and has its own for Redis, so this one has no scheme.
    STORAGE_SCHEME = None  # type: ignore[assignment]

    def __init__(self, url: str) -> None:
        # A client made from a URL tries once; other clients of the Redis library retry for seconds.
        super().__init__(url, socket_timeout=TIMEOUT_SECS, socket_connect_timeout=TIMEOUT_SECS)
        self._breaker = Breaker("limits", failures=FAILURES, reset_secs=RESET_SECS)
        self._hit: Any = self.get_connection().register_script(HIT.encode())

    @property
    def outages(self) -> tuple[type[Exception], ...]:
        """Exceptions that `hit` raises while Redis is away."""
        return (cast(type[Exception], self.base_exceptions), BreakerOpenError)

    def hit(self, key: str, expiry: int, amount: int = 1) -> Window:
        """Count `amount` and return the window, in one round trip.

        Args:
            key: the counter.
            expiry: seconds that a window lasts.
            amount: how much to count.
        """
        keys, arguments = [self.prefixed_key(key)], [expiry, amount]
        hits, left_ms = self._breaker.call(lambda: self._hit(keys, arguments))
        return Window(int(hits), now().timestamp() + int(left_ms) / 1000)
