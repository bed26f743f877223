"""The state of a key at a time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from authserve.keys.policy import (
    CACHE_TTL,
    JWKS_MAX_AGE,
    LEEWAY,
    ROTATION_PERIOD,
    KeyState,
    RotationCause,
    find_signing_key,
    first_signature,
    is_ended_by_emergency,
    is_key_needed,
    is_over,
    key_state,
    retirement,
    usable_keys,
)

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Key:
    serial: int
    active_from: datetime
    retire_at: datetime | None = None


def key(serial: int, active: timedelta, retire: timedelta | None = None) -> Key:
    """A key whose times are given from now on."""
    return Key(serial, NOW + active, None if retire is None else NOW + retire)


ZERO, HOUR = timedelta(0), timedelta(hours=1)


@pytest.mark.parametrize(
    ("retire", "expected"),
    [(None, False), (TICK, False), (ZERO, True), (-TICK, True), (HOUR, False)],
)
def test_a_key_is_over_from_its_retirement_on(retire: timedelta | None, expected: bool) -> None:
    found = key(1, -HOUR, retire)
    assert is_over(found, NOW) is expected
    assert usable_keys([found], NOW) == ([] if expected else [found])


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([], None),
        ([key(1, ZERO)], 1),
        ([key(1, TICK)], None),
        ([key(1, -HOUR), key(2, TICK)], 1),
        ([key(1, -HOUR, HOUR), key(2, ZERO)], 2),
        ([key(2, -TICK), key(1, -HOUR, HOUR)], 2),
        ([key(1, -HOUR), key(2, -HOUR, ZERO)], 1),
        ([key(1, -HOUR, -TICK)], None),
    ],
)
def test_the_newest_active_key_signs(keys: list[Key], expected: int | None) -> None:
    signing = find_signing_key(keys, NOW)
    assert (signing.serial if signing else None) == expected


@pytest.mark.parametrize(
    ("found", "signs", "expected"),
    [
        (key(1, TICK), False, KeyState.PUBLISHED),
        (key(1, ZERO), True, KeyState.ACTIVE),
        (key(1, -HOUR), False, KeyState.RETIRING),
        (key(1, -HOUR, TICK), False, KeyState.RETIRING),
        (key(1, -HOUR, TICK), True, KeyState.ACTIVE),
        (key(1, -HOUR, ZERO), False, KeyState.RETIRED),
        (key(1, HOUR, ZERO), False, KeyState.RETIRED),
    ],
)
def test_a_key_is_in_one_of_four_states(found: Key, signs: bool, expected: KeyState) -> None:
    assert key_state(found, found if signs else key(9, -HOUR), NOW) is expected


DUE, ORDER, EMERGENCY = RotationCause


@pytest.mark.parametrize("cause", RotationCause)
def test_the_first_key_is_always_needed(cause: RotationCause) -> None:
    assert is_key_needed(None, cause, NOW)


@pytest.mark.parametrize("cause", RotationCause)
def test_a_key_is_needed_when_none_may_sign_on(cause: RotationCause) -> None:
    assert is_key_needed(key(1, -HOUR, ZERO), cause, NOW)


@pytest.mark.parametrize(
    ("active", "needed_by"),
    [
        (-ROTATION_PERIOD, {DUE, ORDER, EMERGENCY}),
        (-ROTATION_PERIOD + TICK, {ORDER, EMERGENCY}),
        (ZERO, {ORDER, EMERGENCY}),
        (TICK, {EMERGENCY}),
        (HOUR, {EMERGENCY}),
    ],
)
def test_a_key_is_needed_90_days_after_the_last_or_on_an_order_that_is_not_served_yet(
    active: timedelta, needed_by: set[RotationCause]
) -> None:
    assert {cause for cause in RotationCause if is_key_needed(key(1, active), cause, NOW)} == (
        needed_by
    )


def test_a_key_rotates_after_90_days() -> None:
    assert timedelta(days=90) == ROTATION_PERIOD


def test_a_new_key_is_shown_until_every_verifier_has_it_before_it_signs() -> None:
    shown_for = first_signature(NOW, is_urgent=False) - NOW
    assert shown_for == JWKS_MAX_AGE + CACHE_TTL + LEEWAY == timedelta(seconds=332)


def test_an_urgent_key_signs_at_once_even_where_the_clock_is_behind() -> None:
    active_from = first_signature(NOW, is_urgent=True)
    assert find_signing_key([Key(1, active_from)], NOW - timedelta(seconds=30)) is not None


def test_a_key_stays_until_the_last_token_that_it_signed_has_expired_everywhere() -> None:
    ttl = timedelta(minutes=10)
    last_signature = NOW + CACHE_TTL
    assert retirement(NOW, ttl) >= last_signature + ttl + LEEWAY


@pytest.mark.parametrize(
    ("retire", "expected"),
    [(None, False), (-HOUR, True), (-HOUR + TICK, False), (HOUR, False)],
)
def test_an_emergency_retires_a_key_when_its_own_key_begins(
    retire: timedelta | None, expected: bool
) -> None:
    found, earlier, later = key(2, -2 * HOUR, retire), key(1, retire or -HOUR), key(3, -HOUR)
    assert is_ended_by_emergency(found, [earlier, found, later]) is expected
    assert not is_ended_by_emergency(found, [earlier, found])
