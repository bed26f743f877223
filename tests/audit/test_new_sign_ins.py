"""The question about a sign-in from a new device, and its answer."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import time_machine
from flask import Flask

from authserve.audit.new_sign_ins import (
    NEWEST_EVENTS,
    QUESTION_AGE,
    NewSignIn,
    answer_new_sign_in,
    find_new_sign_in,
)
from authserve.core.actor import VISITOR, Actor, RequestInfo
from authserve.core.clock import now
from authserve.core.errors import NotFoundError
from authserve.core.events import AuditAction
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.users.accounts import ref_of
from authserve.users.lookup import get_user
from tests.support.clients import Caller, login
from tests.support.crowd import all_at_once
from tests.support.marks import both_databases, on_sqlite
from tests.support.rows import audit_trail, change_session, live_session_row

pytestmark = both_databases

REQUEST = RequestInfo(ip="192.0.2.1", user_agent="curl/8.5", correlation_id="test-1")


@pytest.fixture
def sign_in(app: Flask, alice: Caller, clock: time_machine.Traveller) -> Callable[[str], UUID]:
    """Sign alice in from an address, a minute after the last time."""

    def sign_in(ip: str) -> UUID:
        clock.shift(timedelta(minutes=1))
        client = app.test_client()
        client.environ_base["REMOTE_ADDR"] = ip
        return UUID(login(client, "alice").get_json()["session_id"])

    return sign_in


def ask(caller: Caller, *, asking_id: UUID | None = None) -> NewSignIn | None:
    """Return what the account's page would ask in the caller's session, or in another one."""
    with caller.client.application.app_context():
        user = get_user(caller.id)
        return find_new_sign_in(
            ref_of(user),
            seen_at=user.activity_seen_at,
            asking_id=asking_id or caller.session_id,
            now=now(),
        )


def answer(caller: Caller, event_id: UUID, *, is_own: bool) -> None:
    with caller.client.application.app_context():
        actor = Actor(user=ref_of(get_user(caller.id)), session_id=caller.session_id)
        answer_new_sign_in(event_id, is_own=is_own, actor=actor, request=REQUEST)


def test_the_oldest_is_asked_about_first_and_each_by_itself(
    alice: Caller, sign_in: Callable[[str], UUID]
) -> None:
    assert ask(alice) is None
    first, second = sign_in("198.51.100.7"), sign_in("203.0.113.9")
    sign_in("203.0.113.10")
    question = ask(alice)
    assert question is not None
    assert (question.session_id, question.ip) == (first, "198.51.100.7")
    answer(alice, question.id, is_own=True)
    later = ask(alice)
    assert later is not None
    assert later.session_id == second
    answer(alice, later.id, is_own=True)
    assert ask(alice) is None
    answer(alice, question.id, is_own=True)
    assert ask(alice) is None


def test_a_session_is_not_asked_about_itself(alice: Caller, sign_in: Callable[[str], UUID]) -> None:
    first = sign_in("198.51.100.7")
    assert ask(alice, asking_id=first) is None
    assert ask(alice, asking_id=uuid4()) is not None


def test_an_old_sign_in_is_not_asked_about(
    alice: Caller, sign_in: Callable[[str], UUID], clock: time_machine.Traveller
) -> None:
    sign_in("198.51.100.7")
    clock.shift(QUESTION_AGE - timedelta(seconds=1))
    assert ask(alice) is not None
    clock.shift(timedelta(seconds=1))
    assert ask(alice) is None


def test_a_stranger_is_signed_out(
    app: Flask, alice: Caller, sign_in: Callable[[str], UUID]
) -> None:
    stranger = sign_in("198.51.100.7")
    question = ask(alice)
    assert question is not None
    answer(alice, question.id, is_own=False)
    assert live_session_row(app, stranger)["revoked_at"] is not None
    assert live_session_row(app, alice.session_id)["revoked_at"] is None
    (disowned,) = audit_trail(app, "activity.disowned")
    assert disowned["details"] == {"session_id": str(stranger)}
    assert ask(alice) is None


def test_a_stranger_who_answered_first_is_signed_out_too(
    app: Flask, alice: Caller, sign_in: Callable[[str], UUID]
) -> None:
    stranger = sign_in("198.51.100.7")
    question = ask(alice)
    assert question is not None
    answer(alice, question.id, is_own=True)
    assert audit_trail(app, "activity.disowned") == []
    answer(alice, question.id, is_own=False)
    assert live_session_row(app, stranger)["revoked_at"] is not None
    assert len(audit_trail(app, "activity.disowned")) == 1


def test_an_old_one_is_not_asked_about_after_an_older_answer(
    alice: Caller, sign_in: Callable[[str], UUID], clock: time_machine.Traveller
) -> None:
    sign_in("198.51.100.7")
    question = ask(alice)
    assert question is not None
    answer(alice, question.id, is_own=True)
    sign_in("203.0.113.9")
    clock.shift(QUESTION_AGE - timedelta(seconds=1))
    assert ask(alice) is not None
    clock.shift(timedelta(seconds=1))
    assert ask(alice) is None


def test_the_first_answer_about_a_session_that_has_ended_is_recorded(
    app: Flask, alice: Caller, sign_in: Callable[[str], UUID]
) -> None:
    stranger = sign_in("198.51.100.7")
    question = ask(alice)
    assert question is not None
    change_session(app, stranger, revoked_at=now())
    for _ in range(2):
        answer(alice, question.id, is_own=False)
    (disowned,) = audit_trail(app, "activity.disowned")
    assert disowned["details"] == {"session_id": str(stranger)}


@on_sqlite
def test_it_is_searched_for_in_the_newest_events_of_the_account(
    app: Flask, alice: Caller, sign_in: Callable[[str], UUID]
) -> None:
    sign_in("198.51.100.7")
    with app.app_context():
        user = ref_of(get_user(alice.id))
        for count, is_found in ((NEWEST_EVENTS - 1, True), (1, False)):
            with transaction():
                for _ in range(count):
                    emit(
                        AuditAction.SESSION_SIGN_IN_THROTTLED,
                        actor=VISITOR,
                        subject=user,
                        request=REQUEST,
                    )
            assert (ask(alice) is not None) is is_found


def test_five_answers_at_once_are_one(
    app: Flask, alice: Caller, sign_in: Callable[[str], UUID]
) -> None:
    sign_in("198.51.100.7")
    question = ask(alice)
    assert question is not None
    event_id = question.id
    all_at_once([lambda: answer(alice, event_id, is_own=False)] * 5)
    assert len(audit_trail(app, "activity.disowned")) == 1
    assert len(audit_trail(app, "session.revoked")) == 1


def test_no_other_event_is_answered_for(
    app: Flask, alice: Caller, bob: Caller, sign_in: Callable[[str], UUID]
) -> None:
    sign_in("198.51.100.7")
    question = ask(alice)
    assert question is not None
    with pytest.raises(NotFoundError):
        answer(bob, question.id, is_own=False)
    for event in audit_trail(app, "user.registered", "session.started"):
        if event["id"] != question.id:
            with pytest.raises(NotFoundError):
                answer(alice, event["id"], is_own=False)
