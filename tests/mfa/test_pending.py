"""Pending sign-ins and their tokens."""

from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select, update

from authserve.admin.administration import AccountChanges, change_account
from authserve.core.actor import OPERATOR, VISITOR, RequestInfo
from authserve.core.clock import now
from authserve.core.crypto import digest
from authserve.core.levels import Proof
from authserve.database.transactions import read_all, transaction
from authserve.mfa.errors import MfaTokenExpiredError, MfaTokenInvalidError
from authserve.mfa.models import PendingSignIn
from authserve.mfa.pending import (
    MAX_ATTEMPTS,
    Pending,
    Purpose,
    begin_pending,
    count_attempt,
    find_device,
    purge_dead_pending,
    read_pending,
    spend_pending,
)
from authserve.settings.model import SETTINGS
from authserve.tokens.device import new_device
from authserve.users.accounts import activate, deactivate
from authserve.users.credentials import get_credentials
from authserve.users.errors import AccountDisabledError
from authserve.users.models import User
from tests.factories import REQUEST, make_user
from tests.support.crowd import all_at_once
from tests.support.marks import both_databases
from tests.support.tokens import claims_of, decode, forge, header_of

pytestmark = pytest.mark.usefixtures("context")

Clock = time_machine.Traveller


def begin(user_id: UUID, purpose: Purpose = Purpose.VERIFY, **changes: Any) -> str:
    values: dict[str, Any] = {"proofs": {Proof.PASSWORD}, "device_id": None, "now": now()}
    with transaction():
        _, token = begin_pending(
            get_credentials(user_id),
            purpose=purpose,
            request=REQUEST,
            settings=SETTINGS.get(),
            **{**values, **changes},
        )
    return token


def read(token: str, purpose: Purpose = Purpose.VERIFY) -> Pending:
    return read_pending(token, purpose, settings=SETTINGS.get(), now=now())


def spend(pending: Pending) -> bool:
    with transaction():
        return spend_pending(pending, now=now())


def change_rows(model: Any, **columns: Any) -> None:
    with transaction() as session:
        session.execute(update(model).values(**columns))


def test_its_token_names_it_and_nothing_of_the_account_but_its_id(clock: Clock) -> None:
    alice = make_user("alice")
    device = new_device(alice.id, 0)
    token = begin(alice.id, device_id=device.id)
    pending = read(token)
    claims = claims_of(token)
    assert header_of(token) == {"alg": "HS256", "typ": "mfa+jwt"}
    common = {"iss", "aud", "sub", "iat", "nbf", "exp", "jti", "type", "sec"}
    assert claims.keys() == {*common, "did", "pv"}
    assert claims_of(begin(alice.id)).keys() == common
    assert find_device(token, settings=SETTINGS.get(), now=now()) == device
    assert (claims["jti"], claims["sub"]) == (str(pending.id), str(alice.id))
    assert len(decode(claims["sec"])) == 16
    ((stored, ip, user_agent),) = read_all(
        select(PendingSignIn.secret_digest, PendingSignIn.ip, PendingSignIn.user_agent).where(
            PendingSignIn.id == pending.id
        )
    )
    assert stored == digest(decode(claims["sec"]))
    assert (ip, user_agent) == (REQUEST.ip, REQUEST.user_agent)
    assert (pending.account.ref, pending.proofs) == (alice, {Proof.PASSWORD})
    assert pending.device_id == device.id


@pytest.mark.parametrize(
    ("purpose", "lifetime"),
    [(Purpose.VERIFY, timedelta(minutes=5)), (Purpose.ENROLL, timedelta(minutes=15))],
)
def test_it_lasts_to_the_last_instant(clock: Clock, purpose: Purpose, lifetime: timedelta) -> None:
    token = begin(make_user("alice").id, purpose)
    clock.shift(lifetime - timedelta(microseconds=1))
    pending = read(token, purpose)
    clock.shift(timedelta(microseconds=1))
    assert not spend(pending)
    with pytest.raises(MfaTokenInvalidError):
        count_attempt(pending, now=now())
    for _ in ("within the leeway of signatures", "later", "after the purge"):
        with pytest.raises(MfaTokenExpiredError):
            read(token, purpose)
        clock.shift(timedelta(hours=2))
        list(purge_dead_pending())


def test_neither_a_key_nor_a_row_alone_makes_a_token(app: Flask) -> None:
    alice, charlie = make_user("alice"), make_user("charlie")
    token = begin(alice.id)
    good = forge(app, "mfa", token)
    forged = {
        "another secret": good(sec="A" * 22),
        "no secret": good(sec=""),
        "a secret that is no text": good(sec=5),
        "a secret that is no base64url": good(sec="a"),
        "an unknown id": good(jti=str(uuid4())),
        "no id": good(jti="x"),
        "another user": good(sub=str(charlie.id)),
        "another type": good(header={"typ": "rt+jwt"}),
        "another kind": good(type="refresh"),
        "another audience": good(aud=SETTINGS.get().public_url + "/refresh"),
        "another issuer": good(iss="https://evil.example"),
        "no token": "x",
        "nothing": "",
    }
    accepted = []
    for name, wrong in forged.items():
        assert find_device(wrong, settings=SETTINGS.get(), now=now()) is None
        with suppress(MfaTokenInvalidError):
            read(wrong)
            accepted.append(name)
    assert accepted == []
    assert read(good()) == read(token)


def test_it_opens_the_calls_of_its_purpose_alone() -> None:
    token = begin(make_user("alice").id, Purpose.ENROLL)
    with pytest.raises(MfaTokenInvalidError):
        read(token, Purpose.VERIFY)
    assert read(token, Purpose.ENROLL).purpose is Purpose.ENROLL


def test_it_has_five_attempts_and_the_fifth_may_succeed() -> None:
    token = begin(make_user("alice").id)
    pending = read(token)
    for _ in range(MAX_ATTEMPTS):
        count_attempt(read(token), now=now())
    for attempt in (lambda: read(token), lambda: count_attempt(pending, now=now())):
        with pytest.raises(MfaTokenInvalidError):
            attempt()
    assert spend(pending)


def test_it_is_spent_once() -> None:
    token = begin(make_user("alice").id)
    pending = read(token)
    assert spend(pending)
    assert not spend(pending)
    for attempt in (lambda: read(token), lambda: count_attempt(pending, now=now())):
        with pytest.raises(MfaTokenInvalidError):
            attempt()


@both_databases
def test_of_a_crowd_one_spends_it_and_five_attempts_count(app: Flask) -> None:
    token = begin(make_user("alice").id)
    pending = read(token)

    def attempt() -> bool:
        with app.app_context():
            try:
                count_attempt(pending, now=now())
            except MfaTokenInvalidError:
                return False
            return True

    def spend_it() -> bool:
        with app.app_context():
            return spend(pending)

    assert sum(all_at_once([attempt] * 20)) == MAX_ATTEMPTS
    assert sum(all_at_once([spend_it] * 20)) == 1


def test_a_new_password_ends_it() -> None:
    token = begin(make_user("alice").id)
    change_rows(User, password_version=1)
    with pytest.raises(MfaTokenInvalidError):
        read(token)


def test_a_deactivation_ends_it_for_good() -> None:
    alice = make_user("alice")
    token, spent = begin(alice.id), begin(alice.id)
    spend(read(spent))
    deactivate(alice.id, actor=VISITOR, request=RequestInfo())
    with pytest.raises(AccountDisabledError):
        read(token)
    activate(alice.id, actor=VISITOR, request=RequestInfo())
    with pytest.raises(MfaTokenInvalidError):
        read(token)


def test_another_address_ends_an_enrollment_and_no_second_step() -> None:
    """Otherwise a reader of the old mailbox could add the account's first factor."""
    alice = make_user("alice")
    enrollment = begin(alice.id, Purpose.ENROLL, proofs={Proof.EMAIL_CODE})
    second_step = begin(alice.id)
    changes: AccountChanges = {"email": "other@example.com", "email_verified": True}
    change_account(alice.id, changes, actor=OPERATOR, request=RequestInfo())
    with pytest.raises(MfaTokenInvalidError):
        read(enrollment, Purpose.ENROLL)
    assert read(second_step).proofs == {Proof.PASSWORD}


def test_the_purge_leaves_what_may_still_be_shown(clock: Clock) -> None:
    alice = make_user("alice")
    begin(alice.id)
    begin(alice.id, Purpose.ENROLL)
    clock.shift(timedelta(hours=1, minutes=5, seconds=1))
    assert list(purge_dead_pending()) == [1]
    assert [row.purpose for row in read_all(select(PendingSignIn.purpose))] == [Purpose.ENROLL]
