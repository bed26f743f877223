"""Circuit breakers: a dependency that is away is not asked again and again.

pybreaker keeps the state; but it runs what it guards under its own lock, where hanging calls
would queue behind each other. So the call is made outside, and only its outcome is reported.
"""

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar, cast

from authserve.core.container import component

# pybreaker imports redis wherever it is installed, for a storage that is not used here: 35 ms of
# each start, and 7 MB (measured). With None in its place it goes without, as if there were none
# (the language reference, 5.3.1).
sys.modules.setdefault("redis", None)  # type: ignore[arg-type]
import pybreaker  # noqa: E402

if not sys.modules["redis"]:
    del sys.modules["redis"]

logger = logging.getLogger(__name__)

T = TypeVar("T")


class BreakerOpenError(Exception):
    """The dependency was away a moment ago, and has not been asked."""


class Breaker:
    """Guards calls to one dependency. Safe for threads.

    Args:
        name: what it guards, in logs and metrics.
        failures: consecutive ones that open it.
        reset_secs: after this long one call is let through, to see; the others wait for what
            comes of it, but no longer than this once more.
        monotonic: seconds that only grow.
    """

    def __init__(
        self,
        name: str,
        *,
        failures: int,
        reset_secs: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._reset_secs = reset_secs
        self._monotonic = monotonic
        self._lock = Lock()
        self._rests_until = float("-inf")
        # Nothing is reported to it while it is open, so its own clock, which a change of the
        # system's time would mislead, is never asked.
        self._state = pybreaker.CircuitBreaker(
            fail_max=failures,
            reset_timeout=0,
            throw_new_error_on_trip=False,
            listeners=[_StateListener(self)],
        )

    @property
    def is_open(self) -> bool:
        """Whether a call would be refused now."""
        return self.state != pybreaker.STATE_CLOSED and self._monotonic() < self._rests_until

    @property
    def is_closed(self) -> bool:
        """Whether the dependency is there, as far as anybody knows."""
        return self.state == str(pybreaker.STATE_CLOSED)

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`."""
        return str(self._state.current_state)

    def call(
        self, action: Callable[[], T], *, is_failure: Callable[[Exception], bool] = lambda _: True
    ) -> T:
        """Do `action`, unless the breaker is open.

        Args:
            action: the call to the dependency.
            is_failure: whether an error means that the dependency is away; others pass through
                and count as an answer.

        Raises:
            BreakerOpenError: it is open; nothing was done.
        """
        is_probe = self._admit()
        try:
            result = action()
        except Exception as error:
            self._report(error if is_failure(error) else None, is_probe=is_probe)
            raise
        self._report(None, is_probe=is_probe)
        return result

    def trip(self) -> None:
        """Open it now: what was seen elsewhere leaves no doubt that the dependency is away."""
        with self._lock:
            if not self.is_open:
                self._state.open()

    def _admit(self) -> bool:
        """Let a call through, or not; True if it is the one that looks whether all is well."""
        with self._lock:
            if self.state == pybreaker.STATE_CLOSED:
                return False
            if self.is_open:
                raise BreakerOpenError(self.name)
            # Should this call never come back, another one may look after as long again.
            self._rests_until = self._monotonic() + self._reset_secs
            if self.state == pybreaker.STATE_OPEN:
                self._state.half_open()
            return True

    def _report(self, error: Exception | None, *, is_probe: bool) -> None:
        def outcome() -> None:
            if error is not None:
                raise error

        with self._lock:
            # What began before the breaker opened says nothing of how things are since.
            is_probing = self.state == pybreaker.STATE_HALF_OPEN and is_probe
            if self.state != pybreaker.STATE_CLOSED and not is_probing:
                return
            # What comes back is the error reported.
            with contextlib.suppress(Exception):
                self._state.call(outcome)

    def note_state(self, state: str) -> None:
        """Log a change of state, and rest from when the breaker opened."""
        if state == pybreaker.STATE_OPEN:
            self._rests_until = self._monotonic() + self._reset_secs
        # Each process has breakers of its own.
        extra = {"breaker": self.name, "state": state, "pid": os.getpid()}
        logger.warning("breaker changed", extra=extra)


class _StateListener(pybreaker.CircuitBreakerListener):
    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker

    def state_change(self, _cb: Any, _old_state: Any, new_state: Any) -> None:
        self._breaker.note_state(new_state.name)


BREAKERS_EXTENSION = "authserve.breakers"


def all_breakers() -> tuple[Breaker, ...]:
    """The breakers of a web process, for whoever watches them: each has a `name` and a `state`."""
    return cast("tuple[Breaker, ...]", component(BREAKERS_EXTENSION))
