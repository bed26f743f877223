"""Codes that sign in: who is mailed one, who is told how to sign in, and how many there are."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest
import time_machine
from flask import Flask
from sqlalchemy import insert, select, update

from authserve.core.actor import OPERATOR, RequestInfo, UserRef
from authserve.core.clock import now
from authserve.core.crypto import KEYRING, Keyring
from authserve.core.ids import new_id
from authserve.database.transactions import read_all, transaction
from authserve.mfa.email_codes import MAX_LIVE_CODES, CodePurpose, FoundCode, try_code
from authserve.mfa.models import EmailCode, TotpFactor
from authserve.mfa.sign_in_codes import (
    TOKEN_LIFETIME,
    read_sign_in_token,
    request_sign_in_code,
)
from authserve.settings.model import SETTINGS
from authserve.tokens.device import issue_device_token, new_device
from authserve.users.accounts import deactivate
from authserve.users.models import User
from tests.support.mail import Mailbox, open_mailbox, work
from tests.support.marks import both_databases
from tests.support.messages import messages, states
from tests.support.people import make_user

ALICE = "alice@example.com"
REQUEST = RequestInfo(ip="203.0.113.7", user_agent="Mozilla/5.0 (X11) Firefox/145.0")


@dataclass
class Desk:
    """Alice, whose address is verified, and her mailbox."""

    app: Flask
    box: Mailbox
    alice: UserRef

    def request(
        self, email: str = ALICE, *, is_known: bool = False, is_allowed: bool = True
    ) -> str:
        """Request a code, deliver all mail, and return the token."""
        with self.app.app_context():
            token, _ = request_sign_in_code(
                email,
                is_known_device=is_known,
                is_mail_allowed=is_allowed,
                request=REQUEST,
                public_url=SETTINGS.get().public_url,
                now=now(),
            )
        work(self.app)
        return token

    def check(self, token: str, code: str) -> FoundCode | None:
        """Try a code."""
        with self.app.app_context():
            found = read_sign_in_token(token, public_url=SETTINGS.get().public_url, now=now())
            assert found is not None
            return try_code(code, CodePurpose.SIGN_IN, handle=found.handle).found

    def change(self, **columns: object) -> None:
        """Overwrite columns of Alice's account."""
        with self.app.app_context(), transaction() as session:
            session.execute(update(User).where(User.id == self.alice.id).values(columns))

    def give_totp(self) -> None:
        """Add a confirmed TOTP secret."""
        row = {"id": new_id(), "user_id": self.alice.id, "secret": b"x"}
        with self.app.app_context(), transaction() as session:
            times = {"created_at": now(), "confirmed_at": now()}
            session.execute(insert(TotpFactor).values(**row, **times))

    def refusals(self) -> list[str]:
        """Return the texts of the mails without a code."""
        return [each.text for each in self.box.letters if "We have sent none" in each.text]


def make_desk(app: Flask) -> Desk:
    with app.app_context():
        alice = make_user("alice", email_verified=True)
    return Desk(app, open_mailbox(app), alice)


@pytest.fixture
def desk(app: Flask) -> Desk:
    return make_desk(app)


@both_databases
def test_a_code_needs_the_token_of_its_own_request(desk: Desk) -> None:
    first = desk.request()
    second = desk.request()
    codes = [letter.code for letter in desk.box.letters]
    assert desk.check(first, codes[1]) is None
    assert desk.check(second, codes[0]) is None
    found = desk.check(second, codes[1])
    assert found is not None
    assert (found.user_id, found.email) == (desk.alice.id, ALICE)
    assert desk.check(first, codes[0]) is not None


def test_the_mail_names_the_request(desk: Desk) -> None:
    desk.request()
    (letter,) = desk.box.letters
    assert letter.to == ALICE
    assert "in Firefox, from the address 203.0.113.7, on " in letter.text


def test_the_token_and_the_database_together_are_not_enough(desk: Desk) -> None:
    """The code's row cannot be told from the token, which the service's secret could forge."""
    token = desk.request()
    with desk.app.app_context():
        (row,) = read_all(select(EmailCode.__table__))
        (message,) = messages(desk.app, kind="sign_in_code")
        claims = read_sign_in_token(token, public_url=SETTINGS.get().public_url, now=now())
    assert row.id == message["id"]
    assert str(row.id) not in token
    assert claims is not None
    assert claims.handle == row.handle_digest
    assert desk.box.letters[0].code not in str(message)


@pytest.mark.parametrize("is_disabled", [False, True])
def test_without_an_active_account_nothing_is_mailed_or_kept(desk: Desk, is_disabled: bool) -> None:
    if is_disabled:
        with desk.app.app_context():
            deactivate(desk.alice.id, actor=OPERATOR, request=RequestInfo())
    desk.request(ALICE if is_disabled else "nobody@example.com")
    assert desk.box.letters == []
    assert messages(desk.app, kind="sign_in_code") == []


def test_beyond_the_limit_there_is_a_token_without_a_mail(desk: Desk) -> None:
    token = desk.request(is_allowed=False)
    assert messages(desk.app) == []
    assert desk.check(token, "01234567") is None


def test_an_unverified_address_is_pointed_to_the_reset(desk: Desk) -> None:
    desk.change(email_verified=False)
    desk.request()
    (text,) = desk.refusals()
    assert 'Set a new password ("forgot password")' in text


def test_an_account_with_a_second_factor_is_told_to_use_it(desk: Desk) -> None:
    desk.give_totp()
    desk.change(mfa_enabled=True)
    desk.request()
    (text,) = desk.refusals()
    assert "a mailed code cannot replace it" in text


def test_a_factor_alone_does_not_refuse_a_code(desk: Desk) -> None:
    """The account's switch decides, as with a password."""
    desk.give_totp()
    desk.request()
    assert desk.refusals() == []


def test_one_that_must_enroll_gets_a_code_where_passkeys_exist(desk: Desk) -> None:
    desk.change(mfa_enabled=True)
    desk.request()
    assert desk.refusals() == []


def test_one_that_must_enroll_needs_a_password_without_passkeys(make_app: object) -> None:
    desk = make_desk(make_app(passkey_rp_id="", passkey_origins=()))  # type: ignore[operator]
    desk.change(mfa_enabled=True)
    desk.request()
    assert len(desk.refusals()) == 1


def test_no_request_ends_the_code_of_another_one(desk: Desk) -> None:
    tokens = [desk.request() for _ in range(MAX_LIVE_CODES + 1)]
    codes = [letter.code for letter in desk.box.letters]
    assert len(codes) == MAX_LIVE_CODES
    assert states(desk.app, kind="sign_in_code") == {"sent": 3, "dropped": 1}
    assert desk.check(tokens[0], codes[0]) is not None


def test_strangers_requests_do_not_lock_the_owners_device_out(desk: Desk) -> None:
    tokens = [desk.request() for _ in range(MAX_LIVE_CODES)]
    token = desk.request(is_known=True)
    codes = [letter.code for letter in desk.box.letters]
    assert desk.check(token, codes[-1]) is not None
    assert desk.check(tokens[0], codes[0]) is None
    assert desk.check(tokens[1], codes[1]) is not None


def test_a_token_outlives_the_latest_mail(desk: Desk, clock: time_machine.Traveller) -> None:
    token = desk.request()
    with desk.app.app_context():
        public_url = SETTINGS.get().public_url
        clock.shift(TOKEN_LIFETIME + timedelta(seconds=29))
        assert read_sign_in_token(token, public_url=public_url, now=now()) is not None
        clock.shift(timedelta(seconds=1))
        assert read_sign_in_token(token, public_url=public_url, now=now()) is None


def test_only_its_own_kind_of_token_is_read(desk: Desk) -> None:
    with desk.app.app_context():
        public_url = SETTINGS.get().public_url
        device = issue_device_token(new_device(UUID(int=1), 0), public_url=public_url, now=now())
        for token in ("", "x", device):
            assert read_sign_in_token(token, public_url=public_url, now=now()) is None
        token = desk.request()
        KEYRING.fill(desk.app, Keyring(["another secret, 0123456789 0123456789"]))
        assert read_sign_in_token(token, public_url=public_url, now=now()) is None
