"""The lifetime of links, and the times at which one is valid and useful."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from authserve.verification.policy import (
    LIFETIMES,
    MAIL_KINDS,
    PURPOSES,
    Purpose,
    Recipient,
    is_live,
    is_wanted,
)

NOW = datetime(2030, 1, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Times:
    expires_at: datetime = NOW + TICK
    used_at: datetime | None = None
    superseded_at: datetime | None = None


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (Times(), True),
        (Times(expires_at=NOW), False),
        (Times(expires_at=NOW - TICK), False),
        (Times(used_at=NOW), False),
        (Times(superseded_at=NOW), False),
        (Times(used_at=NOW, superseded_at=NOW), False),
        # A spent link stays spent at any time of the clock.
        (Times(expires_at=NOW + timedelta(days=9), used_at=NOW + timedelta(days=1)), False),
    ],
)
def test_a_token_counts_until_it_is_spent_superseded_or_expired(
    token: Times, expected: bool
) -> None:
    assert is_live(token, NOW) is expected


def test_every_purpose_has_a_lifetime_and_a_mail() -> None:
    assert {purpose: LIFETIMES[purpose] for purpose in Purpose} == {
        Purpose.VERIFY_EMAIL: timedelta(hours=24),
        Purpose.RESET_PASSWORD: timedelta(minutes=30),
        Purpose.CHANGE_EMAIL: timedelta(hours=24),
        Purpose.INVITATION: timedelta(days=3),
    }
    assert {PURPOSES[MAIL_KINDS[purpose]] for purpose in Purpose} == set(Purpose)


HERE, ELSEWHERE = "alice@example.com", "liddell@example.com"
ALL = set(Purpose)


@pytest.mark.parametrize(
    ("recipient", "address", "wanted"),
    [
        # is_active, email_verified, is_activated
        ((True, False, True), HERE, {Purpose.VERIFY_EMAIL, Purpose.RESET_PASSWORD}),
        ((True, True, True), HERE, {Purpose.RESET_PASSWORD}),
        ((True, False, False), HERE, ALL - {Purpose.CHANGE_EMAIL}),
        ((True, True, False), HERE, {Purpose.RESET_PASSWORD, Purpose.INVITATION}),
        ((True, False, True), ELSEWHERE, {Purpose.CHANGE_EMAIL}),
        ((True, True, False), ELSEWHERE, {Purpose.CHANGE_EMAIL}),
        ((False, False, True), HERE, set()),
        ((False, True, False), HERE, set()),
        ((False, True, True), ELSEWHERE, set()),
    ],
)
def test_a_link_is_wanted_where_it_makes_sense(
    recipient: tuple[bool, bool, bool], address: str, wanted: set[Purpose]
) -> None:
    is_active, email_verified, is_activated = recipient
    user = Recipient(
        email=HERE, is_active=is_active, email_verified=email_verified, is_activated=is_activated
    )
    assert {purpose for purpose in Purpose if is_wanted(purpose, user, address=address)} == wanted
