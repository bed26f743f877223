"""Circuit breakers: their opening, the calls that they let through, and hanging calls."""

import contextlib
import logging
from collections import Counter
from threading import Barrier, Event, Thread

import pytest
from flask import Flask

from authserve.core.breakers import BREAKERS, Breaker, BreakerOpenError
from tests.support.crowd import DEADLINE_SECS, all_at_once

RESET_SECS = 30.0


class AwayError(Exception):
    """The dependency does not answer."""


class RefusedError(Exception):
    """The dependency answers with a refusal."""


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def monotonic() -> Clock:
    return Clock()


@pytest.fixture
def breaker(monotonic: Clock) -> Breaker:
    return Breaker("test", failures=5, reset_secs=RESET_SECS, monotonic=monotonic)


def fail(error: type[Exception] = AwayError) -> None:
    raise error


def is_away(error: Exception) -> bool:
    return isinstance(error, AwayError)


def fail_times(breaker: Breaker, count: int, error: type[Exception] = AwayError) -> None:
    for _ in range(count):
        with pytest.raises(error):
            breaker.call(lambda: fail(error), is_failure=is_away)


def open_up(breaker: Breaker) -> None:
    fail_times(breaker, 5)
    assert breaker.state == "open"


def test_it_opens_after_five_failures_in_a_row(breaker: Breaker) -> None:
    fail_times(breaker, 4)
    assert breaker.call(lambda: "answer") == "answer"
    fail_times(breaker, 4)
    assert (breaker.state, breaker.is_open) == ("closed", False)
    fail_times(breaker, 1)
    assert (breaker.state, breaker.is_open) == ("open", True)


def test_an_open_one_does_nothing(breaker: Breaker) -> None:
    open_up(breaker)
    calls: list[int] = []
    with pytest.raises(BreakerOpenError):
        breaker.call(lambda: calls.append(1))
    assert calls == []


def test_a_refusal_is_an_answer(breaker: Breaker) -> None:
    fail_times(breaker, 4)
    fail_times(breaker, 20, RefusedError)
    fail_times(breaker, 4)
    assert breaker.state == "closed"


def test_it_can_be_opened_by_what_was_seen_elsewhere(breaker: Breaker, monotonic: Clock) -> None:
    breaker.trip()
    assert breaker.is_open
    monotonic.seconds += RESET_SECS - 1
    breaker.trip()
    monotonic.seconds += 1
    assert breaker.call(lambda: "answer") == "answer"
    assert breaker.state == "closed"


def test_all_are_found_by_name(app: Flask, database_url: str) -> None:
    with app.app_context():
        names = [breaker.name for breaker in BREAKERS.get()]
    assert ("database" in names) is database_url.startswith("postgresql")
    assert "breached_passwords" in names
    assert len(set(names)) == len(names)


def test_it_lets_one_through_after_its_rest(breaker: Breaker, monotonic: Clock) -> None:
    open_up(breaker)
    monotonic.seconds += RESET_SECS - 0.001
    assert breaker.is_open
    monotonic.seconds += 0.001
    assert not breaker.is_open
    assert breaker.call(lambda: "answer") == "answer"
    assert breaker.state == "closed"
    fail_times(breaker, 4)
    assert breaker.state == "closed"


def test_it_rests_again_when_that_one_fails(breaker: Breaker, monotonic: Clock) -> None:
    open_up(breaker)
    for _ in range(3):
        monotonic.seconds += RESET_SECS
        fail_times(breaker, 1)
        assert breaker.is_open


def test_a_refusal_of_that_one_is_an_answer(breaker: Breaker, monotonic: Clock) -> None:
    open_up(breaker)
    monotonic.seconds += RESET_SECS
    fail_times(breaker, 1, RefusedError)
    assert breaker.state == "closed"


def test_of_many_at_once_one_probes(breaker: Breaker, monotonic: Clock) -> None:
    open_up(breaker)
    monotonic.seconds += RESET_SECS
    others = Event()

    def call() -> str:
        try:
            return breaker.call(lambda: str(others.wait(DEADLINE_SECS)))
        except BreakerOpenError:
            refused.append(1)
            if len(refused) == 15:
                others.set()
            return "refused"

    refused: list[int] = []
    assert Counter(all_at_once([call] * 16)) == {"True": 1, "refused": 15}
    assert breaker.state == "closed"


def test_a_probe_that_never_returns_is_followed_by_another(
    breaker: Breaker, monotonic: Clock
) -> None:
    open_up(breaker)
    monotonic.seconds += RESET_SECS

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        breaker.call(interrupt)
    assert (breaker.state, breaker.is_open) == ("half-open", True)
    monotonic.seconds += RESET_SECS
    assert breaker.call(lambda: "answer") == "answer"
    assert breaker.state == "closed"


def test_sixteen_hanging_calls_hang_together(breaker: Breaker) -> None:
    """pybreaker alone would make them queue: this would end with the barrier's timeout."""
    together = Barrier(16, timeout=DEADLINE_SECS)
    all_at_once([lambda: breaker.call(together.wait)] * 16)


class HangingCall:
    """A call that hangs from `begin` to `end`, then answers or fails."""

    def __init__(self, breaker: Breaker, error: type[Exception] | None) -> None:
        self._breaker, self._error = breaker, error
        self._has_begun, self._may_end = Event(), Event()
        self._thread = Thread(target=self._run)

    def _run(self) -> None:
        with contextlib.suppress(AwayError):
            self._breaker.call(self._hang)

    def _hang(self) -> None:
        self._has_begun.set()
        assert self._may_end.wait(DEADLINE_SECS)
        if self._error:
            raise self._error

    def begin(self) -> None:
        """Return when the call hangs."""
        self._thread.start()
        assert self._has_begun.wait(DEADLINE_SECS)

    def end(self) -> None:
        """Return when the breaker knows the outcome."""
        self._may_end.set()
        self._thread.join()


@pytest.mark.parametrize("outcome", [None, AwayError])
def test_a_call_begun_before_it_opened_does_not_count(
    breaker: Breaker,
    monotonic: Clock,
    caplog: pytest.LogCaptureFixture,
    outcome: type[Exception] | None,
) -> None:
    late_call = HangingCall(breaker, outcome)
    late_call.begin()
    with caplog.at_level(logging.WARNING):
        open_up(breaker)
        monotonic.seconds += RESET_SECS - 1
        late_call.end()
    assert breaker.state == "open"
    assert [record.state for record in caplog.records] == ["open"]  # type: ignore[attr-defined]
    monotonic.seconds += 1
    assert not breaker.is_open


@pytest.mark.parametrize("late_outcome", [None, AwayError])
@pytest.mark.parametrize(("outcome", "state"), [(None, "closed"), (AwayError, "open")])
def test_a_late_answer_while_it_is_half_open_does_not_count(
    breaker: Breaker,
    monotonic: Clock,
    late_outcome: type[Exception] | None,
    outcome: type[Exception] | None,
    state: str,
) -> None:
    """The probe alone decides, not a call that began before the breaker opened."""
    late_call, probe = HangingCall(breaker, late_outcome), HangingCall(breaker, outcome)
    late_call.begin()
    open_up(breaker)
    monotonic.seconds += RESET_SECS
    probe.begin()
    late_call.end()
    assert (breaker.state, breaker.is_open) == ("half-open", True)
    probe.end()
    assert breaker.state == state


def test_it_logs_its_changes(
    breaker: Breaker, monotonic: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        open_up(breaker)
        monotonic.seconds += RESET_SECS
        breaker.call(lambda: None)
    found = [(record.message, record.breaker, record.state) for record in caplog.records]  # type: ignore[attr-defined]
    assert found == [
        ("breaker changed", "test", state) for state in ("open", "half-open", "closed")
    ]


@pytest.mark.parametrize("jump_hours", [-1, 1])
def test_the_time_of_day_does_not_matter(
    breaker: Breaker, monotonic: Clock, clock: object, jump_hours: int
) -> None:
    open_up(breaker)
    clock.shift(jump_hours * 3600)  # type: ignore[attr-defined]
    assert breaker.is_open
    monotonic.seconds += RESET_SECS
    breaker.call(lambda: None)
    assert breaker.state == "closed"
