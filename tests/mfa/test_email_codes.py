"""Codes mailed before a first factor: bound to one caller, tried five times, and good once."""

import logging
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from authserve.core.actor import OPERATOR, RequestInfo, UserRef
from authserve.core.crypto import KEYRING, Keyring
from authserve.core.ids import new_id
from authserve.database.statements import Base
from authserve.database.transactions import TransactionNestingError, read_all, transaction
from authserve.mail.errors import TransportError
from authserve.mail.mailer import MAILER, Mailer
from authserve.mail.message import OutgoingMail
from authserve.mfa.email_codes import (
    CODE_LIFETIME,
    CODE_RETENTION,
    MAX_ATTEMPTS,
    MAX_LIVE_CODES,
    CodePurpose,
    FoundCode,
    check_enrollment_code,
    purge_dead_codes,
    request_enrollment_code,
    spend_code,
    try_code,
)
from authserve.mfa.models import EmailCode
from authserve.settings.model import SETTINGS
from authserve.users.accounts import deactivate
from tests.factories import make_user
from tests.support.clients import Caller
from tests.support.crowd import all_at_once
from tests.support.mail import Mailbox, work
from tests.support.marks import both_databases
from tests.support.messages import change_messages, states

ALICE = "alice@example.com"
REQUEST = RequestInfo(ip="203.0.113.7", user_agent="Mozilla/5.0 (X11) Firefox/145.0")
SECRET = "a secret for tests alone, 0123456789"

CROWD = 20


class Refusing(Mailbox):
    """A transport that refuses mail while it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.is_closed = False

    def send(self, mail: OutgoingMail) -> None:
        super().send(mail)
        if self.is_closed:
            raise TransportError("closed", is_outage=True)


@dataclass
class Desk:
    """Alice, who has no factor yet, and her mailbox."""

    app: Flask
    box: Refusing
    alice: UserRef

    def request(self, bound_to: UUID, *, email: str = ALICE) -> None:
        """Request a code; it is not sent yet."""
        with self.app.app_context(), transaction():
            request_enrollment_code(self.alice, email=email, bound_to=bound_to, request=REQUEST)

    def mailed(self, bound_to: UUID) -> str:
        """Request a code, and return it from the mail."""
        self.request(bound_to)
        work(self.app)
        return self.box.letters[-1].code

    def check(self, code: str, bound_to: UUID) -> FoundCode | None:
        """Try a code as Alice."""
        with self.app.app_context():
            return check_enrollment_code(code, user_id=self.alice.id, bound_to=bound_to)

    def spend(self, found: FoundCode) -> bool:
        """Spend a code in a transaction of its own."""
        with self.app.app_context(), transaction():
            return spend_code(found)

    def is_good(self, code: str, bound_to: UUID) -> bool:
        """Return True if a code still works; this spends it."""
        found = self.check(code, bound_to)
        return found is not None and self.spend(found)

    def attempts(self) -> list[int]:
        """Return the tries of every code."""
        with self.app.app_context():
            return [row.attempts for row in read_all(select(EmailCode.__table__))]


@pytest.fixture
def desk(app: Flask) -> Desk:
    box = Refusing()
    MAILER.fill(app, Mailer(SETTINGS.of(app), box))
    with app.app_context():
        alice = make_user("alice")
    return Desk(app, box, alice)


def wrong(code: str) -> str:
    """Return another code."""
    return f"{(int(code) + 1) % 10**8:08}"


@both_databases
def test_it_is_good_once(desk: Desk) -> None:
    session_id = new_id()
    code = desk.mailed(session_id)
    found = desk.check(code, session_id)
    assert found is not None
    assert (found.user_id, found.email) == (desk.alice.id, ALICE)
    assert desk.spend(found)
    assert not desk.spend(found)
    assert desk.check(code, session_id) is None


def test_the_mail_names_the_request_and_goes_to_the_account(desk: Desk) -> None:
    desk.mailed(new_id())
    (letter,) = desk.box.letters
    assert letter.to == ALICE
    assert "in Firefox, from the address 203.0.113.7, on " in letter.text


def test_a_rolled_back_confirmation_spends_nothing(desk: Desk) -> None:
    session_id = new_id()
    code = desk.mailed(session_id)
    found = desk.check(code, session_id)
    assert found is not None
    with desk.app.app_context(), transaction() as session:
        assert spend_code(found)
        session.rollback()
    assert desk.is_good(code, session_id)


def test_it_is_for_its_account_caller_and_purpose_alone(desk: Desk) -> None:
    session_id = new_id()
    code = desk.mailed(session_id)
    with desk.app.app_context():
        stranger = make_user("bob")
        assert check_enrollment_code(code, user_id=stranger.id, bound_to=session_id) is None
        handle = read_all(select(EmailCode.__table__))[0].handle_digest
        assert try_code(code, CodePurpose.SIGN_IN, handle=handle).user_id is None
    assert desk.check(code, new_id()) is None
    assert desk.is_good(code, session_id)


def test_five_tries_are_all(desk: Desk) -> None:
    session_id = new_id()
    code = desk.mailed(session_id)
    for _ in range(MAX_ATTEMPTS - 1):
        assert desk.check(wrong(code), session_id) is None
    assert desk.check(code, session_id) is not None
    assert desk.check(code, session_id) is None
    assert desk.attempts() == [MAX_ATTEMPTS]


@both_databases
def test_of_parallel_guesses_five_are_compared(desk: Desk) -> None:
    session_id = new_id()
    code = desk.mailed(session_id)
    guess = [lambda: desk.check(code, session_id)] * CROWD
    assert sum(found is not None for found in all_at_once(guess)) == MAX_ATTEMPTS
    assert desk.attempts() == [MAX_ATTEMPTS]


@both_databases
def test_of_parallel_spenders_one_wins(desk: Desk) -> None:
    session_id = new_id()
    found = desk.check(desk.mailed(session_id), session_id)
    assert found is not None
    assert sorted(all_at_once([lambda: desk.spend(found)] * CROWD))[-2:] == [False, True]


def test_a_try_stays_counted_so_it_needs_no_transaction(desk: Desk) -> None:
    with desk.app.app_context(), transaction(), pytest.raises(TransactionNestingError):
        check_enrollment_code("01234567", user_id=desk.alice.id, bound_to=new_id())


def test_asking_again_ends_the_code_before(desk: Desk) -> None:
    session_id, other_id = new_id(), new_id()
    other = desk.mailed(other_id)
    first = desk.mailed(session_id)
    desk.request(session_id)
    assert not desk.is_good(first, session_id)
    desk.request(session_id)
    work(desk.app)
    assert [letter.code for letter in desk.box.letters[:2]] == [other, first]
    assert len(desk.box.letters) == 3
    assert not desk.is_good(first, session_id)
    assert desk.is_good(desk.box.letters[-1].code, session_id)
    assert desk.is_good(other, other_id)


def test_an_address_has_three_live_codes(desk: Desk, clock: time_machine.Traveller) -> None:
    callers = [new_id() for _ in range(MAX_LIVE_CODES)]
    codes = [desk.mailed(each) for each in callers]
    desk.request(new_id())
    work(desk.app)
    assert len(desk.box.letters) == MAX_LIVE_CODES
    assert states(desk.app, kind="enrollment_code")["dropped"] == 1
    assert desk.is_good(codes[0], callers[0])
    # A spent one leaves room, as an expired one does.
    desk.mailed(new_id())
    clock.shift(CODE_LIFETIME)
    desk.mailed(new_id())
    assert len(desk.box.letters) == MAX_LIVE_CODES + 2


def test_it_lasts_ten_minutes_from_the_hand_over(desk: Desk, clock: time_machine.Traveller) -> None:
    session_id = new_id()
    desk.request(session_id)
    clock.shift(timedelta(hours=3))
    work(desk.app)
    code = desk.box.letters[-1].code
    clock.shift(CODE_LIFETIME - timedelta(seconds=1))
    found = desk.check(code, session_id)
    assert found is not None
    clock.shift(timedelta(seconds=1))
    assert desk.check(code, session_id) is None
    assert not desk.spend(found)


def test_a_retried_mail_repeats_the_code(desk: Desk, clock: time_machine.Traveller) -> None:
    session_id = new_id()
    desk.request(session_id)
    desk.box.is_closed = True
    work(desk.app)
    desk.box.is_closed = False
    clock.shift(timedelta(minutes=5))
    work(desk.app)
    lost, arrived = [letter.code for letter in desk.box.letters]
    assert lost == arrived
    clock.shift(CODE_LIFETIME - timedelta(seconds=1))
    assert desk.is_good(arrived, session_id)


def test_a_spent_code_is_not_mailed_again(desk: Desk) -> None:
    """A worker may be killed after the hand-over, before the message is marked as sent."""
    session_id = new_id()
    assert desk.is_good(desk.mailed(session_id), session_id)
    change_messages(desk.app, state="pending", finished_at=None)
    work(desk.app)
    assert states(desk.app) == {"dropped": 1}
    assert len(desk.box.letters) == 1


def test_one_that_was_tried_too_often_is_not_renewed(desk: Desk) -> None:
    session_id = new_id()
    code = desk.mailed(session_id)
    for _ in range(MAX_ATTEMPTS):
        desk.check(wrong(code), session_id)
    change_messages(desk.app, state="pending", finished_at=None)
    work(desk.app)
    assert states(desk.app) == {"dropped": 1}
    assert desk.check(code, session_id) is None


def test_one_that_would_surprise_is_given_up(desk: Desk, clock: time_machine.Traveller) -> None:
    desk.request(new_id())
    clock.shift(timedelta(hours=24))
    work(desk.app)
    assert states(desk.app) == {"dead": 1}
    assert desk.box.letters == []


def test_only_the_present_address_of_an_active_account_gets_one(desk: Desk) -> None:
    desk.request(new_id(), email="former@example.com")
    work(desk.app)
    with desk.app.app_context():
        deactivate(desk.alice.id, actor=OPERATOR, request=RequestInfo())
    desk.request(new_id())
    work(desk.app)
    assert states(desk.app, kind="enrollment_code") == {"dropped": 2}
    assert desk.box.to(ALICE) == []


def test_a_changed_address_ends_the_codes_of_the_old_one(app: Flask, admin: Caller) -> None:
    box = Refusing()
    MAILER.fill(app, Mailer(SETTINGS.of(app), box))
    with app.app_context():
        desk = Desk(app, box, make_user("alice"))
    session_id = new_id()
    code = desk.mailed(session_id)
    body = {"email": "liddell@example.com", "email_verified": True}
    answer = admin.patch(f"/api/v1/users/{desk.alice.id}", json=body)
    assert answer.status_code == 200, answer.text
    assert desk.check(code, session_id) is None


def test_a_former_secret_still_opens_what_it_mailed(desk: Desk) -> None:
    session_id = new_id()
    code = desk.mailed(session_id)
    KEYRING.fill(desk.app, Keyring(["another secret, 0123456789 0123456789", SECRET]))
    assert desk.is_good(code, session_id)


def test_neither_the_database_nor_the_log_has_the_code(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    session_id = new_id()
    code = desk.mailed(session_id)
    assert desk.is_good(code, session_id)
    with desk.app.app_context():
        stored = [repr(row) for t in Base.metadata.sorted_tables for row in read_all(select(t))]
    assert any(ALICE in row for row in stored)
    assert [row for row in (*stored, caplog.text) if code in row] == []


def test_dead_rows_are_purged_after_their_messages(
    desk: Desk, clock: time_machine.Traveller
) -> None:
    desk.mailed(new_id())
    clock.shift(CODE_LIFETIME + CODE_RETENTION)
    with desk.app.app_context():
        assert list(purge_dead_codes()) == []
        clock.shift(timedelta(seconds=1))
        assert list(purge_dead_codes()) == [1]
