"""Counters in Redis: the library's storage, with the end of the window in the same answer."""

from typing import Any, cast

from limits.storage import RedisStorage as LibraryStorage

from authserve.core.breakers import Breaker, BreakerOpenError
from authserve.core.clock import now
from authserve.ratelimit.storage.window import Window

TIMEOUT_SECS = 0.1
"""To connect, and for an answer. A call has two limits at most, so that a Redis that hangs keeps
it for 0.4 s before the breaker opens; a healthy one takes a millisecond (chosen, not measured)."""

FAILURES = 2
RESET_SECS = 5
"""Consecutive failures that open the breaker, and how long it rests. So a single lost packet
switches nothing off, and limits are back five seconds after Redis is (chosen, not measured)."""

HIT = """
local hits = redis.call("incrby", KEYS[1], ARGV[2])
local left_ms = redis.call("pttl", KEYS[1])
if left_ms < 0 then
    redis.call("expire", KEYS[1], ARGV[1])
    left_ms = ARGV[1] * 1000
end
return {hits, left_ms}
"""
"""Redis runs it as one step. A key without an end, which a crash could leave, gets one."""


class RedisStorage(LibraryStorage):
    """Fixed windows that begin with their first hit.

    Args:
        url: `redis://` or `rediss://`; nothing is asked of it before the first hit.
    """

    # The library knows storages by URL, and has one of its own for this.
    STORAGE_SCHEME = None  # type: ignore[assignment]

    def __init__(self, url: str) -> None:
        # A client that is made of a URL tries once; others of this library retry for seconds.
        super().__init__(url, socket_timeout=TIMEOUT_SECS, socket_connect_timeout=TIMEOUT_SECS)
        self._breaker = Breaker("limits", failures=FAILURES, reset_secs=RESET_SECS)
        self._hit: Any = self.get_connection().register_script(HIT.encode())

    @property
    def outages(self) -> tuple[type[Exception], ...]:
        """What `hit` raises while Redis is away."""
        return (cast(type[Exception], self.base_exceptions), BreakerOpenError)

    def hit(self, key: str, expiry: int, amount: int = 1) -> Window:
        """Count `amount` and return the window, one round trip.

        Args:
            key: what is counted.
            expiry: seconds that a window lasts.
            amount: how much to count.
        """
        keys, arguments = [self.prefixed_key(key)], [expiry, amount]
        hits, left_ms = self._breaker.call(lambda: self._hit(keys, arguments))
        return Window(int(hits), now().timestamp() + int(left_ms) / 1000)
