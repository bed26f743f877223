"""The time of a message's next attempt, and its end."""

from datetime import UTC, datetime, timedelta

import pytest

from authserve.outbox.policy import BACKOFF_CAP, HORIZON, LEASE, is_given_up, next_attempt_at

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ANY_JITTER = 300


@pytest.mark.parametrize(
    ("attempts", "ceiling_secs"),
    [(1, 2), (2, 4), (3, 8), (4, 16), (5, 32), (6, 64), (7, 100), (8, 100), (10_000_000, 100)],
)
def test_it_waits_up_to_twice_as_long_after_each_failure(attempts: int, ceiling_secs: int) -> None:
    waits = [next_attempt_at(NOW, attempts=attempts) - NOW for _ in range(ANY_JITTER)]
    ceiling = timedelta(seconds=ceiling_secs)
    assert all(timedelta(0) <= wait <= ceiling for wait in waits)
    # Full jitter: the whole range is used, so that retries never march in step. That all of so
    # many fall on one side has a chance of 2^-300.
    assert min(waits) < ceiling / 2 < max(waits)
    assert len(set(waits)) > ANY_JITTER / 2


def test_it_has_tried_everything_again_two_minutes_after_a_recovery() -> None:
    assert timedelta(minutes=2) >= BACKOFF_CAP


def test_it_takes_a_dead_workers_messages_over_within_a_minute() -> None:
    assert timedelta(seconds=10) < LEASE < timedelta(seconds=60)


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(0), False),
        (HORIZON - timedelta(microseconds=1), False),
        (HORIZON, True),
        (timedelta(days=400), True),
        # The clock was set back.
        (timedelta(hours=-1), False),
    ],
)
def test_it_gives_up_after_24_hours(age: timedelta, expected: bool) -> None:
    assert HORIZON.total_seconds() == 86_400
    assert is_given_up(NOW - age, NOW) is expected
