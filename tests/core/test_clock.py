"""One source of time, in UTC."""

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
import time_machine
from hypothesis import assume, given
from hypothesis import strategies as st

from authserve.core.clock import now, taking_at_least, to_rfc3339

MOMENT = datetime(2026, 11, 23, 6, 49, 48, 123_456, tzinfo=UTC)


def test_now_is_aware_and_in_utc() -> None:
    assert now().tzinfo is UTC


def test_a_frozen_clock_freezes_it(clock: time_machine.Traveller) -> None:
    assert now() == now() == datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
    clock.shift(timedelta(microseconds=1))
    assert now() == datetime(2030, 1, 1, 12, 0, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (MOMENT, "2026-11-23T06:49:48.123456Z"),
        (MOMENT.replace(microsecond=0), "2026-11-23T06:49:48Z"),
        (MOMENT.replace(microsecond=1), "2026-11-23T06:49:48.000001Z"),
        (
            MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30))),
            "2026-11-23T06:49:48.123456Z",
        ),
        (MOMENT.replace(year=2), "0002-11-23T06:49:48.123456Z"),
    ],
)
def test_a_time_is_rfc_3339_in_utc(moment: datetime, text: str) -> None:
    assert to_rfc3339(moment) == text


DAY = timedelta(hours=23, minutes=59)
ZONES = st.builds(timezone, st.timedeltas(-DAY, DAY))


@given(st.datetimes(timezones=ZONES))
def test_every_time_can_be_read_back(moment: datetime) -> None:
    assume(1 < moment.year < 9999)
    assert datetime.fromisoformat(to_rfc3339(moment)) == moment.astimezone(UTC)


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="naive"):
        to_rfc3339(MOMENT.replace(tzinfo=None))


def test_a_block_takes_as_long_as_it_should_even_if_it_fails() -> None:
    began_at = time.monotonic()
    with pytest.raises(LookupError), taking_at_least(0.05):
        raise LookupError
    assert time.monotonic() - began_at >= 0.05


def test_a_block_that_took_longer_is_not_held_up() -> None:
    with taking_at_least(0):
        time.sleep(0.001)
