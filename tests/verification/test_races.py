"""Many at once: one link is good once, and one link is live."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest
import time_machine
from sqlalchemy import select
from werkzeug.test import TestResponse

from authserve.core.clock import now
from authserve.database.transactions import execute, transaction
from authserve.mail.policy import MailKind
from authserve.outbox.enqueue import enqueue
from authserve.passwords.hasher import PASSWORD_HASHER
from authserve.users.credentials import get_credentials
from authserve.verification.models import OneTimeToken
from authserve.verification.policy import LIFETIMES, Purpose
from authserve.verification.requests import close_email_change
from authserve.verification.tokens import supersede
from tests.support.clients import Caller, login, sign_in
from tests.support.crowd import (
    all_at_once,
    persistently,
    wait_until_a_connection_waits_for_a_lock,
)
from tests.support.mail import work
from tests.support.marks import both_databases, on_postgresql
from tests.support.messages import change_messages, links, live_links, states
from tests.support.problems import assert_problem
from tests.verification.conftest import NEW_EMAIL, PATHS, SUCCESS, Desk, body_for

pytestmark = both_databases

CROWD = 20


def follow_at_once(desk: Desk, purpose: Purpose, token: str) -> Counter[int]:
    """Follow one link many times at once; return the number of each answer."""

    def follow() -> TestResponse:
        return persistently(lambda: desk.follow(purpose, token))

    return Counter(answer.status_code for answer in all_at_once([follow] * CROWD))


@pytest.mark.parametrize("purpose", list(Purpose))
def test_of_many_who_follow_one_link_one_succeeds(desk: Desk, purpose: Purpose) -> None:
    token = desk.ask(purpose)
    assert follow_at_once(desk, purpose, token) == {SUCCESS[purpose]: 1, 400: CROWD - 1}
    assert len([row for row in links(desk.app, purpose=purpose) if row["used_at"]]) == 1


def test_of_many_resets_with_one_link_one_sets_the_password(desk: Desk) -> None:
    token = desk.ask(Purpose.RESET_PASSWORD)
    passwords = [f"another horse, staple number {number}" for number in range(CROWD)]

    def reset(password: str) -> str | None:
        answer = persistently(
            lambda: desk.follow(Purpose.RESET_PASSWORD, token, new_password=password)
        )
        assert answer.status_code in (200, 400)
        return password if answer.status_code == 200 else None

    answers = all_at_once([lambda p=password: reset(p) for password in passwords])
    (winner,) = [password for password in answers if password]
    assert login(desk.client, "alice", winner).status_code == 200


@pytest.mark.parametrize("purpose", list(Purpose))
def test_many_requests_leave_one_live_link_and_one_mail(desk: Desk, purpose: Purpose) -> None:
    def request() -> None:
        if purpose is Purpose.INVITATION:
            desk.request(purpose)
            return
        email = "alice@example.com"
        if purpose is Purpose.CHANGE_EMAIL:
            body = {"new_email": NEW_EMAIL}
            answer = persistently(lambda: desk.alice.post("/api/v1/users/me/email", json=body))
        else:
            is_reset = purpose is Purpose.RESET_PASSWORD
            path = f"/api/v1/auth/{'password/forgot' if is_reset else 'email/verify/resend'}"
            answer = persistently(lambda: desk.client.post(path, json={"email": email}))
        assert answer.status_code == 202

    count = 3 if purpose is Purpose.INVITATION else CROWD
    all_at_once([request] * count)
    all_at_once([lambda: work(desk.app)] * 4)
    assert len(live_links(desk.app, purpose=purpose)) == 1
    assert len(desk.letters(purpose)) == 1
    assert desk.is_good(purpose, desk.letters(purpose)[0].token)


def test_of_two_who_confirm_one_address_one_gets_it(desk: Desk, charlie: Caller) -> None:
    purpose = Purpose.CHANGE_EMAIL
    for caller in (desk.alice, charlie):
        caller.post("/api/v1/users/me/email", json={"new_email": NEW_EMAIL})
    work(desk.app)
    tokens = [letter.token for letter in desk.letters(purpose)]
    assert len(tokens) == 2

    def confirm(token: str) -> TestResponse:
        body = body_for(purpose, token)
        return persistently(lambda: desk.client.post(PATHS[purpose], json=body))

    calls = [lambda t=token: confirm(t) for token in tokens * (CROWD // 2)]
    statuses = Counter(answer.status_code for answer in all_at_once(calls))
    assert statuses[204] == 1
    assert set(statuses) <= {204, 400, 409}
    addresses = [
        caller.get("/api/v1/users/me").get_json()["email"] for caller in (desk.alice, charlie)
    ]
    assert sorted(addresses) in (
        sorted([NEW_EMAIL, "charlie@example.com"]),
        sorted(["alice@example.com", NEW_EMAIL]),
    )


def test_a_reset_and_a_change_at_once_leave_one_of_their_worlds(desk: Desk) -> None:
    """Either ends the other's link: the reset cancels the change, the change the old address."""
    tokens = {p: desk.ask(p) for p in (Purpose.RESET_PASSWORD, Purpose.CHANGE_EMAIL)}
    calls = [
        lambda p=purpose: (p, persistently(lambda: desk.follow(p, tokens[p])).status_code)
        for purpose in tokens
        for _ in range(CROWD // 2)
    ]
    wins = Counter(
        purpose for purpose, status in (call for call in all_at_once(calls)) if status in (200, 204)
    )
    assert sum(wins.values()) == 1


@on_postgresql
def test_a_confirmation_takes_no_link_before_the_messages(desk: Desk) -> None:
    """A simultaneous withdrawal has the messages and wants the link; neither may hold the other."""
    token = desk.ask(Purpose.CHANGE_EMAIL)
    user_id = UUID(desk.alice.user["id"])

    with ThreadPoolExecutor() as threads, desk.app.app_context():
        with transaction():
            assert close_email_change(user_id)
            confirmation = threads.submit(desk.follow, Purpose.CHANGE_EMAIL, token)
            wait_until_a_connection_waits_for_a_lock()
            is_own = OneTimeToken.user_id == user_id
            links = select(OneTimeToken.id).where(is_own).with_for_update(nowait=True)
            assert execute(links).all()
        assert confirmation.result().status_code in (204, 503)


@pytest.mark.parametrize("purpose", list(Purpose))
def test_a_link_that_expires_while_the_password_is_hashed_is_dead(
    clock: time_machine.Traveller, desk: Desk, purpose: Purpose
) -> None:
    token = desk.ask(purpose)
    clock.shift(LIFETIMES[purpose] - timedelta(seconds=1))
    hasher = PASSWORD_HASHER.of(desk.app)
    hasher.on_hashed = lambda _: clock.shift(1)
    assert_problem(desk.follow(purpose, token), 400, "invalid_or_expired_token")
    hasher.on_hashed = None
    assert links(desk.app, purpose=purpose)[-1]["used_at"] is None
    me = sign_in(desk.client, "alice", user=desk.alice.user).get("/api/v1/users/me").get_json()
    assert (me["email"], me["email_verified"]) == ("alice@example.com", False)
    with desk.app.app_context():
        assert not get_credentials(desk.dora.id).is_activated


def test_a_link_that_is_replaced_while_the_password_is_hashed_is_dead(desk: Desk) -> None:
    token = desk.ask(Purpose.RESET_PASSWORD)

    def replace(_: object) -> None:
        with desk.app.app_context(), transaction():
            supersede(OneTimeToken.purpose == Purpose.RESET_PASSWORD)

    PASSWORD_HASHER.of(desk.app).on_hashed = replace
    assert_problem(desk.follow(Purpose.RESET_PASSWORD, token), 400, "invalid_or_expired_token")
    PASSWORD_HASHER.of(desk.app).on_hashed = None
    assert login(desk.client, "alice").status_code == 200


def test_a_late_older_mail_leaves_the_newer_link_alone(desk: Desk) -> None:
    """Of two simultaneous requests, which do not see each other, the newer mail leaves first."""
    with desk.app.app_context(), transaction():
        older, _ = [
            enqueue(MailKind.RESET_PASSWORD, {"email": "alice@example.com"}) for _ in range(2)
        ]
    change_messages(desk.app, topic="reset_password:alice@example.com")
    change_messages(desk.app, older, next_attempt_at=now() + timedelta(hours=1))
    work(desk.app)
    (letter,) = desk.letters(Purpose.RESET_PASSWORD)
    change_messages(desk.app, older, next_attempt_at=now())
    work(desk.app)
    assert states(desk.app, id=older) == {"dropped": 1}
    assert desk.letters(Purpose.RESET_PASSWORD) == [letter]
    assert desk.is_good(Purpose.RESET_PASSWORD, letter.token)
