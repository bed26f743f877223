"""Circuit breakers: while a dependency is down, calls to it are refused at once.

pybreaker keeps the state, but it would run each call under its own lock, where hanging calls
block each other. So `Breaker` makes the call outside the lock and reports only the outcome.
"""

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any, TypeVar

from authserve.core.container import Slot

# pybreaker imports redis if it is installed, for a storage that is not used here. That costs 35 ms
# of each start and 7 MB (measured). None in `sys.modules` makes the import fail, as if redis were
# not installed (the language reference, 5.3.1).
sys.modules.setdefault("redis", None)  # type: ignore[arg-type]
import pybreaker  # noqa: E402

if not sys.modules["redis"]:
    del sys.modules["redis"]

logger = logging.getLogger(__name__)

T = TypeVar("T")


class BreakerOpenError(Exception):
    """A call refused because the dependency failed recently; the call was not made."""


class Breaker:
    """A thread-safe guard for calls to one dependency.

    Args:
        name: the dependency's name in logs and metrics.
        failures: consecutive failures that open the breaker.
        reset_secs: seconds after opening until one probe call is allowed. Other calls are refused
            until the probe ends, or for `reset_secs` more; then another probe is allowed.
        monotonic: a clock in seconds that never goes back.
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
        # pybreaker's own clock follows changes of the system's time. It is never used, because no
        # outcome is reported to pybreaker while it is open.
        self._state = pybreaker.CircuitBreaker(
            fail_max=failures,
            reset_timeout=0,
            throw_new_error_on_trip=False,
            listeners=[_StateListener(self)],
        )

    @property
    def is_open(self) -> bool:
        """True if a call would be refused now."""
        return self.state != pybreaker.STATE_CLOSED and self._monotonic() < self._rests_until

    @property
    def is_closed(self) -> bool:
        """True if the dependency is up, as far as is known."""
        return self.state == str(pybreaker.STATE_CLOSED)

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`."""
        return str(self._state.current_state)

    def call(
        self, action: Callable[[], T], *, is_failure: Callable[[Exception], bool] = lambda _: True
    ) -> T:
        """Call `action` and return its result, unless the breaker is open.

        Args:
            action: the call to the dependency.
            is_failure: True for an error that means the dependency is down. Other errors count as
                an answer. Every error is raised again.

        Raises:
            BreakerOpenError: the breaker is open; `action` was not called.
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
        """Open the breaker now, when other evidence proves that the dependency is down."""
        with self._lock:
            if not self.is_open:
                self._state.open()

    def _admit(self) -> bool:
        """Return True if the call is the probe, False if the breaker is closed; else refuse it."""
        with self._lock:
            if self.state == pybreaker.STATE_CLOSED:
                return False
            if self.is_open:
                raise BreakerOpenError(self.name)
            # If this probe never ends, another one is allowed after `reset_secs`.
            self._rests_until = self._monotonic() + self._reset_secs
            if self.state == pybreaker.STATE_OPEN:
                self._state.half_open()
            return True

    def _report(self, error: Exception | None, *, is_probe: bool) -> None:
        def outcome() -> None:
            if error is not None:
                raise error

        with self._lock:
            # A call that began before the breaker opened proves nothing about the time since.
            is_probing = self.state == pybreaker.STATE_HALF_OPEN and is_probe
            if self.state != pybreaker.STATE_CLOSED and not is_probing:
                return
            # pybreaker raises the reported error again.
            with contextlib.suppress(Exception):
                self._state.call(outcome)

    def note_state(self, state: str) -> None:
        """Log a change of state; if the breaker opened, refuse calls for `reset_secs`."""
        if state == pybreaker.STATE_OPEN:
            self._rests_until = self._monotonic() + self._reset_secs
        # The process id belongs in the log because each process has its own breakers.
        extra = {"breaker": self.name, "state": state, "pid": os.getpid()}
        logger.warning("breaker changed", extra=extra)


class _StateListener(pybreaker.CircuitBreakerListener):
    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker

    def state_change(self, _cb: Any, _old_state: Any, new_state: Any) -> None:
        self._breaker.note_state(new_state.name)


BREAKERS = Slot[tuple[Breaker, ...]]("breakers")
"""The breakers of a web process, for metrics of their `name` and `state`."""

FURTHER_BREAKERS = Slot[Callable[[], Iterable[Breaker]]]("further_breakers")
"""Returns the breakers that an optional feature has made so far."""
