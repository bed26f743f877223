"""Verifying, resetting, changing an address, accepting an invitation: each as in the contract."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskCliRunner

from authserve.core.clock import now
from authserve.database.transactions import transaction
from authserve.mail.errors import TransportError
from authserve.mail.mailer import MAILER, Mailer
from authserve.mail.message import OutgoingMail
from authserve.mail.policy import MailKind
from authserve.outbox.delivery import claim
from authserve.outbox.enqueue import enqueue
from authserve.outbox.errors import DroppedError
from authserve.settings.model import SETTINGS, EmailVerification
from authserve.users.accounts import ref_of
from authserve.users.lookup import get_user
from authserve.users.password_changes import replace_password
from authserve.verification.policy import LIFETIMES, Purpose
from authserve.verification.requests import invite, make_invitation_link
from authserve.verification.tokens import purge_dead_tokens
from authserve.verification.worker import deliver_link
from tests.support.clients import PASSWORD, Caller, login, register, sign_in
from tests.support.mail import Mailbox, open_mailbox, work
from tests.support.marks import both_databases
from tests.support.messages import change_messages, links, live_links, messages, states
from tests.support.problems import assert_problem
from tests.support.rows import audit_trail
from tests.support.second_steps import second_step
from tests.support.totp import add_app
from tests.verification.conftest import NEW_EMAIL, NEW_PASSWORD, Desk

NO_JUDGE = "invalid_or_expired_token"

VERIFY, RESET = Purpose.VERIFY_EMAIL, Purpose.RESET_PASSWORD
CHANGE, INVITATION = Purpose.CHANGE_EMAIL, Purpose.INVITATION

ME = "/api/v1/users/me"


class TestVerifying:
    @pytest.mark.parametrize(
        ("setting", "mails", "status"),
        [
            (EmailVerification.OFF, 0, 200),
            (EmailVerification.OPTIONAL, 1, 200),
            (EmailVerification.REQUIRED, 1, 403),
        ],
    )
    def test_the_setting_decides_who_must_verify(
        self,
        make_app: Callable[..., Flask],
        setting: EmailVerification,
        mails: int,
        status: int,
    ) -> None:
        app = make_app(email_verification=setting)
        mailbox, client = open_mailbox(app), app.test_client()
        body = {"email": "alice@example.com", "password": PASSWORD}
        client.post("/api/v1/auth/register", json=body)
        work(app)
        assert len(mailbox.letters) == mails
        assert login(client, "alice@example.com").status_code == status
        for letter in mailbox.letters:
            proof = {"token": letter.token, "password": PASSWORD}
            assert client.post("/api/v1/auth/email/verify", json=proof).status_code == 204
            assert login(client, "alice@example.com").status_code == 200

    def test_the_account_is_marked_verified(self, desk: Desk) -> None:
        assert desk.alice.get(ME).get_json()["email_verified"] is False
        assert desk.is_good(VERIFY, desk.ask(VERIFY))
        assert desk.alice.get(ME).get_json()["email_verified"] is True

    def test_a_verified_address_gets_no_second_mail(self, desk: Desk) -> None:
        desk.is_good(VERIFY, desk.ask(VERIFY))
        desk.request(VERIFY)
        work(desk.app)
        assert len(desk.letters(VERIFY)) == 1

    def test_without_a_password_a_password_proves_nothing(self, desk: Desk) -> None:
        body = {"email": "dora@example.com"}
        desk.client.post("/api/v1/auth/email/verify/resend", json=body)
        work(desk.app)
        (letter,) = desk.mailbox.to("dora@example.com")
        assert_problem(desk.follow(VERIFY, letter.token), 403, "wrong_password")


class TestAsking:
    @pytest.mark.parametrize("call", ["email/verify/resend", "password/forgot"])
    @pytest.mark.parametrize("email", ["alice", "a@b", "", None, 7, "a" * 1200 + "@example.com"])
    def test_it_refuses_what_is_no_address(self, app: Flask, call: str, email: object) -> None:
        answer = app.test_client().post(f"/api/v1/auth/{call}", json={"email": email})
        assert_problem(answer, 422, "validation_failed")
        assert messages(app) == []

    def test_mail_goes_to_the_stored_address_alone(self, desk: Desk) -> None:
        """Both compare alike, but only one of them is known to be Alice's."""
        body = {"email": "  ALICE@EXAMPLE.COM "}
        assert desk.client.post("/api/v1/auth/password/forgot", json=body).status_code == 202
        work(desk.app)
        assert [letter.to for letter in desk.letters(RESET)] == ["alice@example.com"]

    def test_nothing_goes_to_an_address_without_an_account(self, desk: Desk) -> None:
        for call in ("email/verify/resend", "password/forgot"):
            desk.client.post(f"/api/v1/auth/{call}", json={"email": "unknown@example.com"})
        work(desk.app)
        assert desk.mailbox.letters == []
        dropped = messages(desk.app, last_error="no account has this address")
        assert [row["state"] for row in dropped] == ["dropped"] * 2


class TestResetting:
    def test_it_sets_the_password_and_starts_no_session(self, desk: Desk) -> None:
        answer = desk.follow(RESET, desk.ask(RESET))
        assert list(answer.get_json()) == ["device_token"]
        assert "Set-Cookie" not in answer.headers
        assert login(desk.client, "alice").status_code == 401
        assert login(desk.client, "alice", NEW_PASSWORD).status_code == 200

    def test_it_verifies_the_address_and_notifies_the_owner(self, desk: Desk) -> None:
        desk.follow(RESET, desk.ask(RESET))
        with desk.app.app_context():
            assert get_user(desk.alice.id).email_verified
        work(desk.app)
        assert desk.mailbox.letters[-1].subject == "Your password was changed"

    def test_it_ends_every_session(self, desk: Desk) -> None:
        second = sign_in(desk.client, "alice", user=desk.alice.user)
        desk.follow(RESET, desk.ask(RESET))
        for caller in (desk.alice, second):
            assert_problem(caller.get(ME), 401, "session_revoked")
            refresh = {"refresh_token": caller.tokens["refresh_token"]}
            answer = desk.client.post("/api/v1/auth/refresh", json=refresh)
            assert_problem(answer, 401, "session_revoked")

    def test_it_leaves_the_second_factor(self, desk: Desk) -> None:
        phone = add_app(desk.app, desk.alice, mailbox=desk.mailbox)
        desk.follow(RESET, desk.ask(RESET))
        first = login(desk.client, "alice", NEW_PASSWORD)
        token = assert_problem(first, 403, "mfa_required")["mfa_token"]
        code = phone.recovery_codes[0]
        assert second_step(desk.client, token, recovery_code=code).status_code == 200

    @both_databases
    def test_it_ends_every_older_link_and_the_pending_change(self, desk: Desk) -> None:
        tokens = {purpose: desk.ask(purpose) for purpose in (RESET, CHANGE, VERIFY)}
        newest = desk.ask(RESET)
        assert desk.is_good(RESET, newest)
        assert not any(desk.is_good(purpose, token) for purpose, token in tokens.items())
        assert live_links(desk.app, user_id=desk.alice.id) == []

    def test_no_older_request_is_answered_afterwards(self, desk: Desk) -> None:
        """Simultaneous requests do not see each other, so one can still be on its way."""
        token = desk.ask(RESET)
        with desk.app.app_context(), transaction():
            topic = "reset_password:alice@example.com"
            enqueue(MailKind.RESET_PASSWORD, {"email": "alice@example.com"}, topic=topic)
        desk.request(CHANGE)
        assert desk.is_good(RESET, token)
        work(desk.app)
        assert (len(desk.letters(RESET)), desk.letters(CHANGE)) == (1, [])

    @pytest.mark.parametrize("password", ["short", "password1", "alice@example.com", "x" * 257])
    def test_a_bad_password_does_not_spend_it(self, desk: Desk, password: str) -> None:
        token = desk.ask(RESET)
        answer = desk.follow(RESET, token, new_password=password)
        assert list(assert_problem(answer, 422, "validation_failed")["errors"]) == ["new_password"]
        assert desk.is_good(RESET, token)

    def test_it_sets_a_first_password(self, desk: Desk) -> None:
        desk.client.post("/api/v1/auth/password/forgot", json={"email": "dora@example.com"})
        work(desk.app)
        (letter,) = desk.mailbox.to("dora@example.com")
        assert desk.is_good(RESET, letter.token)

    @pytest.mark.parametrize("is_sent", [True, False])
    def test_a_changed_password_ends_it(self, desk: Desk, is_sent: bool) -> None:
        desk.request(RESET)
        if is_sent:
            work(desk.app)
        body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        assert desk.alice.put(f"{ME}/password", json=body).status_code == 204
        work(desk.app)
        assert len(desk.letters(RESET)) == is_sent
        assert not any(desk.is_good(RESET, letter.token) for letter in desk.letters(RESET))
        assert desk.mailbox.letters[-1].subject == "Your password was changed"


class TestChangingAnAddress:
    @both_databases
    def test_it_moves_the_account_and_notifies_the_old_address(self, desk: Desk) -> None:
        token = desk.ask(CHANGE)
        notices = [letter.subject for letter in desk.mailbox.to("alice@example.com")]
        assert notices == ["A change of your email address was requested"]
        assert desk.alice.get(ME).get_json()["email"] == "alice@example.com"
        assert desk.is_good(CHANGE, token)
        me = desk.alice.get(ME).get_json()
        assert (me["email"], me["email_verified"]) == (NEW_EMAIL, True)
        work(desk.app)
        assert desk.mailbox.to("alice@example.com")[-1].subject == "Your email address was changed"
        assert [letter.to for letter in desk.mailbox.letters].count(NEW_EMAIL) == 1

    def test_it_needs_a_session_that_is_fresh(
        self, clock: time_machine.Traveller, desk: Desk
    ) -> None:
        body = {"new_email": NEW_EMAIL}
        assert_problem(desk.client.post(f"{ME}/email", json=body), 401, "authentication_required")
        clock.shift(timedelta(minutes=5))
        stale = desk.alice.post(f"{ME}/email", json=body)
        assert_problem(stale, 401, "reauthentication_required")
        assert "max_age=300" in stale.headers["WWW-Authenticate"]

    @pytest.mark.parametrize("new_email", ["alice", None, "a@b", 7])
    def test_it_refuses_what_is_no_address(self, desk: Desk, new_email: object) -> None:
        answer = desk.alice.post(f"{ME}/email", json={"new_email": new_email})
        assert_problem(answer, 422, "validation_failed")

    def test_a_taken_address_answers_alike_and_gets_no_link(
        self, desk: Desk, charlie: Caller
    ) -> None:
        for new_email in ("charlie@example.com", "alice@example.com", NEW_EMAIL):
            answer = desk.alice.post(f"{ME}/email", json={"new_email": new_email})
            assert (answer.status_code, answer.get_json()) == (202, {})
            work(desk.app)
        assert [
            letter.to for letter in desk.mailbox.letters if "/confirm-email#" in letter.text
        ] == [NEW_EMAIL]

    def test_a_second_request_ends_the_first_link_for_another_address(self, desk: Desk) -> None:
        first = desk.ask(CHANGE)
        desk.alice.post(f"{ME}/email", json={"new_email": "third@example.com"})
        assert not desk.is_good(CHANGE, first)
        work(desk.app)
        (letter,) = desk.mailbox.to("third@example.com")
        assert desk.is_good(CHANGE, letter.token)

    def test_it_ends_every_link_that_went_to_the_old_address(self, desk: Desk) -> None:
        tokens = {purpose: desk.ask(purpose) for purpose in (VERIFY, RESET)}
        assert desk.is_good(CHANGE, desk.ask(CHANGE))
        assert not any(desk.is_good(purpose, token) for purpose, token in tokens.items())

    def test_none_goes_to_the_old_address_afterwards(self, desk: Desk) -> None:
        token = desk.ask(CHANGE)
        for purpose in (VERIFY, RESET):
            desk.request(purpose)
        assert desk.is_good(CHANGE, token)
        work(desk.app)
        assert (desk.letters(VERIFY), desk.letters(RESET)) == ([], [])

    def test_it_can_be_withdrawn_before_and_after_the_mail_has_left(self, desk: Desk) -> None:
        token = desk.ask(CHANGE)
        assert desk.alice.delete(f"{ME}/email").status_code == 204
        assert not desk.is_good(CHANGE, token)
        desk.alice.post(f"{ME}/email", json={"new_email": "third@example.com"})
        for _ in ("withdrawn", "nothing to withdraw"):
            assert desk.alice.delete(f"{ME}/email").status_code == 204
        work(desk.app)
        assert desk.mailbox.to("third@example.com") == []
        assert desk.alice.get(ME).get_json()["email"] == "alice@example.com"
        assert len(audit_trail(desk.app, "user.email_change_withdrawn")) == 2
        # Other links of the account stay good.
        reset = desk.ask(RESET)
        desk.alice.delete(f"{ME}/email")
        assert desk.is_good(RESET, reset)

    @both_databases
    def test_a_retry_of_a_withdrawn_one_sends_nothing(
        self, desk: Desk, runner: FlaskCliRunner
    ) -> None:
        """A message that was given up untried, after a day without a worker, has no token yet."""
        desk.request(CHANGE)
        change_messages(desk.app, state="dead")
        assert desk.alice.delete(f"{ME}/email").status_code == 204
        (message,) = messages(desk.app, kind=CHANGE)
        retried = runner.invoke(args=["outbox", "retry", str(message["id"])])
        assert (retried.exit_code, retried.stdout) == (1, "")
        work(desk.app)
        assert desk.mailbox.to(NEW_EMAIL) == []
        assert live_links(desk.app, purpose=CHANGE) == []

    @both_databases
    def test_an_address_that_was_taken_meanwhile_does_not_spend_the_link(self, desk: Desk) -> None:
        token = desk.ask(CHANGE)
        assert register(desk.client, "eve", email=NEW_EMAIL).status_code == 201
        assert_problem(desk.follow(CHANGE, token), 409, "email_taken")
        assert len(live_links(desk.app, purpose=CHANGE)) == 1


class TestInviting:
    def test_the_mail_lets_them_choose_a_password_and_names(self, desk: Desk) -> None:
        names = {"username": "Dora-2", "display_name": "Dora Maar"}
        answer = desk.follow(INVITATION, desk.ask(INVITATION), **names)
        assert list(answer.get_json()) == ["device_token"]
        signed_in = login(desk.client, "dora-2", NEW_PASSWORD)
        assert signed_in.status_code == 200
        headers = {"Authorization": f"Bearer {signed_in.get_json()['access_token']}"}
        me = desk.client.get(ME, headers=headers).get_json()
        assert (me["username"], me["display_name"]) == ("dora-2", "Dora Maar")
        assert me["email_verified"] is True

    def test_a_link_can_be_handed_over_by_other_means(self, desk: Desk) -> None:
        mailed = desk.ask(INVITATION)
        with desk.app.app_context():
            link = make_invitation_link(desk.dora, "dora@example.com")
        assert link.startswith("http://localhost:8000/accept-invitation#")
        assert not desk.is_good(INVITATION, mailed)
        assert desk.is_good(INVITATION, link.partition("#")[2])

    def test_a_link_made_by_hand_ends_the_mail_that_is_not_sent_yet(self, desk: Desk) -> None:
        desk.request(INVITATION)
        with desk.app.app_context():
            link = make_invitation_link(desk.dora, "dora@example.com")
        work(desk.app)
        assert desk.letters(INVITATION) == []
        assert desk.is_good(INVITATION, link.partition("#")[2])

    @both_databases
    def test_a_taken_username_does_not_spend_it(self, desk: Desk) -> None:
        token = desk.ask(INVITATION)
        taken = desk.follow(INVITATION, token, username="alice", display_name="Eve")
        assert_problem(taken, 409, "username_taken")
        with desk.app.app_context():
            assert get_user(desk.dora.id).display_name is None
        assert desk.is_good(INVITATION, token)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("password", "short"),
            ("password", "dora@example.com"),
            ("username", "-"),
            ("password", None),
        ],
    )
    def test_what_is_wrong_does_not_spend_it(self, desk: Desk, field: str, value: object) -> None:
        token = desk.ask(INVITATION)
        answer = desk.follow(INVITATION, token, **{field: value})
        assert list(assert_problem(answer, 422, "validation_failed")["errors"]) == [field]
        assert desk.is_good(INVITATION, token)

    def test_it_replaces_no_password(self, desk: Desk) -> None:
        token = desk.ask(INVITATION)
        with desk.app.app_context(), transaction():
            replace_password(desk.dora, email="dora@example.com", new_hash="x")
        assert_problem(desk.follow(INVITATION, token), 400, NO_JUDGE)

    def test_none_goes_to_a_user_with_a_password(self, desk: Desk) -> None:
        with desk.app.app_context():
            invite(ref_of(get_user(desk.alice.id)), "alice@example.com")
        work(desk.app)
        assert desk.mailbox.letters == []


class Unreliable(Mailbox):
    """A mailbox that reports a failure, with or without taking the mail."""

    def __init__(self, *, takes: bool) -> None:
        super().__init__()
        self.takes, self.is_away = takes, True

    def send(self, mail: OutgoingMail) -> None:
        if self.takes or not self.is_away:
            super().send(mail)
        if self.is_away:
            # No outage, so that no breaker rests in real time.
            raise TransportError("away", is_outage=False)


def bring_unreliable_mail(desk: Desk, *, takes: bool) -> Unreliable:
    mailbox = Unreliable(takes=takes)
    desk.mailbox = mailbox
    MAILER.fill(desk.app, Mailer(SETTINGS.of(desk.app), mailbox))
    return mailbox


def try_again(desk: Desk) -> None:
    """Let the worker try every pending message, due or not."""
    change_messages(desk.app, next_attempt_at=now())
    work(desk.app)


class TestDelivering:
    def test_a_mail_that_is_tried_again_carries_the_same_link_and_id(self, desk: Desk) -> None:
        mailbox = bring_unreliable_mail(desk, takes=True)
        with time_machine.travel(now(), tick=False):
            desk.request(RESET)
            work(desk.app)
            mailbox.is_away = False
            try_again(desk)
        first, second = mailbox.letters
        assert (first.link, first.message["Message-ID"]) == (
            second.link,
            second.message["Message-ID"],
        )
        assert desk.is_good(RESET, first.token)

    def test_a_links_time_counts_from_the_hand_over(
        self, clock: time_machine.Traveller, desk: Desk
    ) -> None:
        mailbox = bring_unreliable_mail(desk, takes=False)
        desk.request(RESET)
        for _ in range(3):
            try_again(desk)
            clock.shift(timedelta(hours=5))
        mailbox.is_away = False
        try_again(desk)
        clock.shift(LIFETIMES[RESET] - timedelta(seconds=1))
        assert desk.is_good(RESET, mailbox.letters[0].token)

    def test_what_was_superseded_meanwhile_is_never_sent(
        self, clock: time_machine.Traveller, desk: Desk
    ) -> None:
        mailbox = bring_unreliable_mail(desk, takes=False)
        for _ in range(3):
            desk.request(RESET)
            try_again(desk)
            clock.shift(timedelta(minutes=10))
        mailbox.is_away = False
        try_again(desk)
        assert len(mailbox.letters) == 1
        assert desk.is_good(RESET, mailbox.letters[0].token)

    @both_databases
    def test_what_is_superseded_in_a_workers_hands_is_not_sent(self, desk: Desk) -> None:
        desk.request(RESET)
        with desk.app.app_context():
            message = claim([MailKind.RESET_PASSWORD])
            assert message is not None
            desk.request(RESET)
            with pytest.raises(DroppedError):
                deliver_link(message)
        work(desk.app)
        (letter,) = desk.letters(RESET)
        assert desk.is_good(RESET, letter.token)

    def test_a_link_that_was_used_is_not_sent_again(
        self, clock: time_machine.Traveller, desk: Desk
    ) -> None:
        mailbox = bring_unreliable_mail(desk, takes=True)
        desk.request(VERIFY)
        work(desk.app)
        assert desk.is_good(VERIFY, mailbox.letters[0].token)
        mailbox.is_away = False
        try_again(desk)
        assert len(mailbox.letters) == 1

    @pytest.mark.parametrize(("late", "letters"), [(timedelta(seconds=-1), 1), (timedelta(0), 0)])
    def test_a_link_is_sent_within_a_day_or_not_at_all(
        self, clock: time_machine.Traveller, desk: Desk, late: timedelta, letters: int
    ) -> None:
        """No worker ran; the user does not expect a link requested so long ago."""
        desk.request(RESET)
        clock.shift(timedelta(hours=24) + late)
        work(desk.app)
        assert len(desk.letters(RESET)) == letters
        if not letters:
            assert states(desk.app, kind="reset_password") == {"dead": 1}
            assert links(desk.app, purpose=RESET) == []

    def test_a_notice_is_sent_however_late(self, clock: time_machine.Traveller, desk: Desk) -> None:
        body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        desk.alice.put(f"{ME}/password", json=body)
        clock.shift(timedelta(days=3))
        work(desk.app)
        assert len(desk.mailbox.letters) == 1

    @both_databases
    def test_tokens_that_died_long_ago_are_cleared_away(
        self, clock: time_machine.Traveller, desk: Desk
    ) -> None:
        desk.ask(RESET)
        clock.shift(LIFETIMES[RESET] + timedelta(days=30))
        with desk.app.app_context():
            before = list(purge_dead_tokens())
            clock.shift(timedelta(microseconds=1))
            after = list(purge_dead_tokens())
        assert (sum(before), sum(after)) == (0, 1)
