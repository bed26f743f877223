"""Challenges: for one use, for five minutes, for one answer."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from authserve.core.crypto import KEYRING, Keyring
from authserve.core.ids import new_id
from authserve.database.transactions import TransactionNestingError, read_all, transaction
from authserve.mfa.challenges import (
    CHALLENGE_TTL,
    RETENTION,
    SIGN_IN,
    ChallengeKind,
    ChallengeUse,
    make_challenge,
    purge_spent_challenges,
    redeem_challenge,
)
from authserve.mfa.models import SpentChallenge
from authserve.mfa.policy import PasskeyRefusedError
from tests.support.crowd import all_at_once, persistently
from tests.support.marks import both_databases

pytestmark = pytest.mark.usefixtures("context")

MOMENT = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
SESSION = new_id()
USE = ChallengeUse(ChallengeKind.REGISTER, SESSION)


def is_redeemed(challenge: bytes, use: ChallengeUse = USE, now: datetime = MOMENT) -> bool:
    try:
        redeem_challenge(challenge, use, now=now)
    except PasskeyRefusedError:
        return False
    return True


def spent() -> int:
    return len(read_all(select(SpentChallenge.nonce)))


@pytest.mark.parametrize("use", [SIGN_IN, *(ChallengeUse(kind, SESSION) for kind in ChallengeKind)])
def test_it_is_for_one_answer(use: ChallengeUse) -> None:
    challenge = make_challenge(use, now=MOMENT)
    assert spent() == 0
    assert is_redeemed(challenge, use)
    assert not is_redeemed(challenge, use)
    assert spent() == 1


@pytest.mark.parametrize(
    "other",
    [
        SIGN_IN,
        ChallengeUse(ChallengeKind.REGISTER, new_id()),
        ChallengeUse(ChallengeKind.REGISTER),
        ChallengeUse(ChallengeKind.VERIFY, SESSION),
        ChallengeUse(ChallengeKind.REAUTHENTICATE, SESSION),
    ],
)
def test_it_is_for_one_use_and_another_one_does_not_spend_it(other: ChallengeUse) -> None:
    challenge = make_challenge(USE, now=MOMENT)
    assert not is_redeemed(challenge, other)
    assert is_redeemed(challenge)


@pytest.mark.parametrize("place", [0, 15, 16, 23, 24, 55])
def test_a_changed_one_is_not_ours(place: int) -> None:
    challenge = bytearray(make_challenge(USE, now=MOMENT))
    challenge[place] ^= 1
    assert not is_redeemed(bytes(challenge))
    assert spent() == 0


@pytest.mark.parametrize("length", [0, 31, 32, 55, 57])
def test_one_of_another_length_is_not_ours(length: int) -> None:
    challenge = (make_challenge(USE, now=MOMENT) + b"\0")[:length]
    assert not is_redeemed(challenge)


def test_the_subject_cannot_move_into_the_challenge() -> None:
    challenge = SESSION.bytes + make_challenge(USE, now=MOMENT)
    assert not is_redeemed(challenge, ChallengeUse(ChallengeKind.REGISTER))


def test_it_lasts_five_minutes() -> None:
    assert timedelta(minutes=5) == CHALLENGE_TTL
    last = MOMENT + CHALLENGE_TTL - timedelta(seconds=1)
    assert is_redeemed(make_challenge(USE, now=MOMENT), now=last)
    assert not is_redeemed(make_challenge(USE, now=MOMENT), now=MOMENT + CHALLENGE_TTL)


def test_an_answer_that_came_too_late_is_not_accepted_where_the_clock_is_behind() -> None:
    challenge = make_challenge(USE, now=MOMENT)
    assert not is_redeemed(challenge, now=MOMENT + CHALLENGE_TTL)
    assert not is_redeemed(challenge, now=MOMENT - timedelta(hours=1))


def test_one_under_a_former_secret_is_ours_while_that_is_a_fallback(app: Flask) -> None:
    challenge = make_challenge(USE, now=MOMENT)
    KEYRING.fill(app, Keyring(["another secret"]))
    assert not is_redeemed(challenge)
    KEYRING.fill(app, Keyring(["another secret", app.config["SECRET_KEY"]]))
    assert is_redeemed(challenge)


def test_no_open_transaction_may_take_its_end_back() -> None:
    with pytest.raises(TransactionNestingError), transaction():
        redeem_challenge(make_challenge(USE, now=MOMENT), USE, now=MOMENT)


@both_databases
def test_one_of_twenty_simultaneous_answers_has_it(app: Flask) -> None:
    challenge = make_challenge(USE, now=MOMENT)

    def answer() -> bool:
        with app.app_context():
            return persistently(lambda: is_redeemed(challenge))

    assert sum(all_at_once([answer] * 20)) == 1


@both_databases
def test_spent_ones_are_kept_for_a_day_after_their_end(clock: time_machine.Traveller) -> None:
    challenge = make_challenge(USE, now=MOMENT)
    assert is_redeemed(challenge)
    clock.move_to(MOMENT + CHALLENGE_TTL + RETENTION)
    assert sum(purge_spent_challenges()) == 0
    assert not is_redeemed(challenge)
    clock.shift(1)
    assert sum(purge_spent_challenges()) == 1
    assert spent() == 0
