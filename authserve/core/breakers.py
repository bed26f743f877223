"""Circuit breakers: a dependency that is away is not asked again and again.

pybreaker keeps the state; but it runs what it guards under its own lock, where hanging calls
would queue behind each other. So the call is made outside, and only its outcome is reported.
"""

import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

import pybreaker

logger = logging.getLogger(__name__)

T = TypeVar("T")


class BreakerOpenError(Exception):
    """The dependency was away a moment ago, and has not been asked."""


class Breaker:
    """Guards calls to one dependency. Safe for threads.

    Args:
        name: what it guards, in logs and metrics.
        failures: consecutive ones that open it.
        reset_secs: after this long one call is let through, to see.
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
        self._opened_at = float("-inf")
        # pybreaker's own clock is not asked: `is_open` decides when to look again.
        self._state = pybreaker.CircuitBreaker(
            fail_max=failures,
            reset_timeout=0,
            throw_new_error_on_trip=False,
            listeners=[_StateListener(self)],
        )

    @property
    def is_open(self) -> bool:
        """Whether a call would be refused now."""
        is_resting = self._monotonic() - self._opened_at < self._reset_secs
        return self.state == "open" and is_resting

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
        if self.is_open:
            raise BreakerOpenError(self.name)
        try:
            result = action()
        except Exception as error:
            self._report(error if is_failure(error) else None)
            raise
        self._report(None)
        return result

    def _report(self, error: Exception | None) -> None:
        def outcome() -> None:
            if error is not None:
                raise error

        # What comes back is the error reported, or pybreaker's word that it has opened.
        with contextlib.suppress(Exception):
            self._state.call(outcome)

    def note_state(self, state: str) -> None:
        """Log a change of state, and remember when the breaker opened."""
        if state == "open":
            self._opened_at = self._monotonic()
        logger.warning("breaker changed", extra={"breaker": self.name, "state": state})


class _StateListener(pybreaker.CircuitBreakerListener):
    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker

    def state_change(self, _cb: Any, _old_state: Any, new_state: Any) -> None:
        self._breaker.note_state(new_state.name)
