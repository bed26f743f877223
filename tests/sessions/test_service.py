"""The life of a session, use case by use case."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import product
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from flask import Flask
from sqlalchemy import insert

from authserve.auth.refresh import continue_session
from authserve.auth.start_session import start_session
from authserve.core.actor import OPERATOR, VISITOR, Actor, UserRef
from authserve.core.clock import now
from authserve.core.errors import (
    InvalidTokenError,
    SessionRevokedError,
    StepUpRequiredError,
    TokenExpiredError,
    UnauthenticatedError,
)
from authserve.core.levels import Level, Proof
from authserve.database.transactions import PURGE_SLICE, TransactionNestingError, transaction
from authserve.sessions.errors import SessionNotFoundError, TokenReusedError
from authserve.sessions.listing import find_live_sessions, is_of_family
from authserve.sessions.models import Session
from authserve.sessions.policy import (
    CLOCK_TOLERANCE,
    MAX_SESSIONS_PER_USER,
    RefreshVerdict,
    RevokeReason,
    SessionKind,
)
from authserve.sessions.renew import renew_authentication
from authserve.sessions.revoke import (
    end_session,
    end_sessions,
    end_sessions_issued_before,
    purge_dead_sessions,
)
from authserve.settings.model import SETTINGS
from authserve.tokens.access import LiveSession
from authserve.tokens.refresh import RefreshClaims
from authserve.users.credentials import get_credentials
from tests.factories import PASSWORD, REQUEST, make_session
from tests.support.crowd import all_at_once, persistently
from tests.support.marks import both_databases, on_sqlite
from tests.support.rows import audit_trail, change_session, count_sessions, live_session_row

pytestmark = both_databases

INSTANT = timedelta(microseconds=1)
GRACE = timedelta(seconds=10)
IDLE = timedelta(days=14)
ABSOLUTE = timedelta(days=30)

Clock = time_machine.Traveller


def presented(issued: LiveSession, **changes: Any) -> RefreshClaims:
    """The refresh token of a session, as it was issued but for `changes`."""
    token = RefreshClaims(
        session_id=issued.id,
        user_id=issued.user_id,
        generation=issued.generation,
        family_secret=issued.family_secret,
    )
    return replace(token, **changes)


def rotate(issued: LiveSession, **changes: Any) -> LiveSession:
    return continue_session(
        presented(issued, **changes), request=REQUEST, settings=SETTINGS.get(), now=now()
    )


def rotate_later(clock: Clock, issued: LiveSession) -> LiveSession:
    """Refresh after the grace of the previous refresh."""
    clock.shift(GRACE + INSTANT)
    return rotate(issued)


# The beginning.


def test_a_session_begins_with_all_its_limits(clock: Clock, app: Flask, user: UserRef) -> None:
    issued = make_session(user)
    row = live_session_row(app, issued.id)
    assert row.pop("family_digest") not in (issued.family_secret, b"")
    assert row == {
        "id": issued.id,
        "user_id": user.id,
        "kind": SessionKind.API,
        "generation": 0,
        "rotated_at": None,
        "created_at": now(),
        "last_used_at": now(),
        "idle_expires_at": now() + IDLE,
        "expires_at": now() + ABSOLUTE,
        "ip": REQUEST.ip,
        "user_agent": REQUEST.user_agent,
        "amr": ["pwd"],
        "aal": Level.AAL1,
        "auth_time": now(),
        "revoked_at": None,
        "revoke_reason": None,
        "cookie_digest": None,
        "previous_digest": None,
        "cookie_rotated_at": None,
        "is_remembered": False,
        "client_id": None,
        "parent_id": None,
        "scope": None,
        "resource": None,
        "is_offline": False,
        "provider": None,
    }
    (event,) = audit_trail(app, "session.started")
    assert event["details"] == {
        "session_id": str(issued.id),
        "kind": "api",
        "known_device": True,
        "amr": ["pwd"],
        "acr": "aal1",
    }


@on_sqlite
def test_a_sign_in_needs_the_lock_on_its_user(user: UserRef) -> None:
    with pytest.raises(RuntimeError, match="no transaction"):
        start_session(
            get_credentials(user.id),
            found=PASSWORD,
            is_known_device=False,
            request=REQUEST,
            settings=SETTINGS.get(),
            now=now(),
        )


def test_the_oldest_session_makes_room_for_a_fifty_first(
    clock: Clock, app: Flask, user: UserRef, stranger: UserRef
) -> None:
    other = make_session(stranger)
    expired = make_session(user)
    change_session(app, expired.id, expires_at=now())
    sessions = []
    for _ in range(MAX_SESSIONS_PER_USER):
        sessions.append(make_session(user))
        clock.shift(1)
    assert count_sessions(app, revoke_reason="evicted") == 0

    newest = [make_session(user) for _ in range(2)]

    evicted = {s.id for s in sessions if live_session_row(app, s.id)["revoked_at"]}
    assert evicted == {sessions[0].id, sessions[1].id}
    assert len(find_live_sessions(user.id, limit=200)) == MAX_SESSIONS_PER_USER
    assert live_session_row(app, evicted.pop())["revoke_reason"] == "evicted"
    for kept in (other, *newest):
        assert live_session_row(app, kept.id)["revoked_at"] is None
    events = audit_trail(app, "session.revoked")
    assert [event["details"] for event in events] == [
        {"reason": "evicted", "session_id": str(session.id)} for session in sessions[:2]
    ]
    assert {event["subject_audit_id"] for event in events} == {user.audit_id}


# Rotation.


def test_a_refresh_moves_the_session_on(clock: Clock, app: Flask, issued: LiveSession) -> None:
    before = live_session_row(app, issued.id)
    clock.shift(timedelta(days=3))
    following = rotate(issued)
    assert following == replace(
        issued, generation=1, ends_at=now() + IDLE, auth_time=before["auth_time"]
    )
    assert live_session_row(app, issued.id) == {
        **before,
        "generation": 1,
        "rotated_at": now(),
        "last_used_at": now(),
        "idle_expires_at": now() + IDLE,
    }


def test_the_idle_limit_never_passes_the_absolute_one(
    clock: Clock, app: Flask, issued: LiveSession
) -> None:
    end = now() + ABSOLUTE
    for expected in (IDLE + timedelta(days=13), ABSOLUTE, ABSOLUTE):
        clock.shift(timedelta(days=13) if expected is not ABSOLUTE else timedelta(days=8))
        issued = rotate(issued)
        assert issued.ends_at == end - ABSOLUTE + expected
    clock.move_to(end)
    with pytest.raises(TokenExpiredError):
        rotate(issued)


@on_sqlite
def test_a_chain_of_refreshes_stays_one_session(clock: Clock, app: Flask, user: UserRef) -> None:
    issued = make_session(user)
    for generation in range(1, 30):
        issued = rotate_later(clock, issued)
        assert issued.generation == generation
    assert count_sessions(app, user_id=user.id) == 1


@pytest.mark.parametrize("age", [timedelta(0), GRACE - INSTANT, GRACE])
def test_the_parent_within_the_grace_is_given_the_present_generation(
    clock: Clock, app: Flask, issued: LiveSession, age: timedelta
) -> None:
    following = rotate(issued)
    row = live_session_row(app, issued.id)
    clock.shift(age)
    assert rotate(issued) == replace(following, is_retry=True)
    assert live_session_row(app, issued.id) == row
    clock.shift(timedelta(days=1))
    assert rotate(following).generation == 2


@pytest.mark.parametrize("age", [timedelta(0), INSTANT, GRACE - INSTANT, GRACE])
def test_the_current_generation_does_not_rotate_again_within_the_grace(
    clock: Clock, app: Flask, issued: LiveSession, age: timedelta
) -> None:
    following = rotate(issued)
    row = live_session_row(app, issued.id)
    clock.shift(age)
    assert rotate(following) == replace(following, is_retry=True)
    assert live_session_row(app, issued.id) == row


def test_the_current_generation_rotates_an_instant_after_the_grace(
    clock: Clock, app: Flask, issued: LiveSession
) -> None:
    following = rotate_later(clock, rotate(issued))
    assert (following.generation, following.is_retry) == (2, False)
    assert live_session_row(app, issued.id)["rotated_at"] == now()


def test_a_session_without_a_rotation_rotates_at_once(clock: Clock, issued: LiveSession) -> None:
    assert rotate(issued).generation == 1


def test_a_rotation_far_in_the_future_is_outside_the_grace(
    clock: Clock, app: Flask, issued: LiveSession
) -> None:
    """A clock that has been set back since wrote it."""
    following = rotate(issued)
    change_session(app, issued.id, rotated_at=now() + CLOCK_TOLERANCE)
    assert rotate(following).generation == 1
    change_session(app, issued.id, rotated_at=now() + CLOCK_TOLERANCE + INSTANT)
    assert rotate(following).generation == 2


@pytest.mark.parametrize("generation", [0, 1])
def test_a_replay_does_not_extend_the_grace(
    clock: Clock, issued: LiveSession, generation: int
) -> None:
    following = rotate(issued)
    clock.shift(GRACE)
    assert rotate(issued, generation=generation).generation == 1
    clock.shift(INSTANT)
    assert rotate(following).generation == 2


def test_the_parent_is_refused_after_a_replay(clock: Clock, issued: LiveSession) -> None:
    rotate(issued)
    clock.shift(GRACE)
    rotate(issued)
    clock.shift(INSTANT)
    with pytest.raises(TokenReusedError):
        rotate(issued)


@pytest.mark.parametrize(
    ("refreshes", "age", "generation", "reason"),
    [
        (1, GRACE + INSTANT, 0, RefreshVerdict.REPLACED_EARLIER),
        (1, timedelta(days=13), 0, RefreshVerdict.REPLACED_EARLIER),
        (2, timedelta(0), 0, RefreshVerdict.OLDER_GENERATION),
        (3, timedelta(0), 0, RefreshVerdict.OLDER_GENERATION),
        (0, timedelta(0), 1, RefreshVerdict.GENERATION_AHEAD),
        (2, timedelta(0), 2**31 - 1, RefreshVerdict.GENERATION_AHEAD),
    ],
)
def test_reuse_ends_the_session(
    clock: Clock,
    app: Flask,
    user: UserRef,
    issued: LiveSession,
    caplog: pytest.LogCaptureFixture,
    refreshes: int,
    age: timedelta,
    generation: int,
    reason: RefreshVerdict,
) -> None:
    latest = issued
    for _ in range(refreshes):
        latest = rotate_later(clock, latest)
    before = live_session_row(app, issued.id)
    clock.shift(age)

    with caplog.at_level(logging.WARNING), pytest.raises(TokenReusedError):
        rotate(issued, generation=generation)

    # It is committed: this connection would not see a failed transaction.
    assert live_session_row(app, issued.id) == {
        **before,
        "revoked_at": now(),
        "revoke_reason": "reuse_detected",
    }
    (event,) = audit_trail(app, "session.reuse_detected")
    facts = {
        "reason": reason,
        "session_id": str(issued.id),
        "presented_generation": generation,
        "current_generation": refreshes,
    }
    assert (event["outcome"], event["details"]) == ("failure", facts)
    assert (event["subject_audit_id"], event["actor_audit_id"]) == (user.audit_id, None)
    assert (event["correlation_id"], event["ip"]) == (REQUEST.correlation_id, REQUEST.ip)
    (line,) = [record for record in caplog.records if record.msg == "refresh token reused"]
    assert facts.items() <= line.__dict__.items()
    # Neither holder can continue, and a second attempt is no second event.
    for token in (latest, issued):
        with pytest.raises(SessionRevokedError):
            rotate(token)
    assert len(audit_trail(app, "session.reuse_detected")) == 1


def test_the_family_secret_and_the_user_must_fit(
    app: Flask, issued: LiveSession, stranger: UserRef
) -> None:
    row = live_session_row(app, issued.id)
    for changes in ({"family_secret": bytes(16)}, {"user_id": stranger.id}, {"user_id": uuid4()}):
        for generation in (0, 1):
            with pytest.raises(InvalidTokenError):
                rotate(issued, generation=generation, **changes)
    assert live_session_row(app, issued.id) == row
    assert not is_of_family(issued.id, bytes(16))
    assert not is_of_family(uuid4(), issued.family_secret)
    assert is_of_family(issued.id, issued.family_secret)


NOT_LIVE: tuple[tuple[dict[str, timedelta], type[UnauthenticatedError]], ...] = (
    ({"revoked_at": timedelta(0)}, SessionRevokedError),
    ({"idle_expires_at": timedelta(0)}, TokenExpiredError),
    ({"idle_expires_at": -INSTANT}, TokenExpiredError),
    ({"expires_at": timedelta(0)}, TokenExpiredError),
    ({"expires_at": timedelta(0), "idle_expires_at": timedelta(0)}, TokenExpiredError),
    ({"revoked_at": timedelta(0), "expires_at": timedelta(0)}, SessionRevokedError),
    ({"revoked_at": timedelta(0), "idle_expires_at": timedelta(0)}, SessionRevokedError),
)
"""Changes of a session's columns, as distances from now, and the code that refuses its tokens."""


def test_a_refresh_that_fails_changes_nothing(clock: Clock, app: Flask, user: UserRef) -> None:
    """The state of the session is checked before the token's generation."""
    for (columns, error), generation in product(NOT_LIVE, (0, 1, 2, 9)):
        issued = make_session(user)
        rotate_later(clock, rotate(issued))
        change_session(app, issued.id, **{name: now() + at for name, at in columns.items()})
        row = live_session_row(app, issued.id)
        with pytest.raises(error):
            rotate(issued, generation=generation)
        assert live_session_row(app, issued.id) == row
    assert audit_trail(app, "session.reuse_detected") == []


def test_an_instant_before_its_limits_a_session_is_live(
    clock: Clock, app: Flask, issued: LiveSession
) -> None:
    change_session(app, issued.id, expires_at=now() + INSTANT, idle_expires_at=now() + INSTANT)
    assert rotate(issued).ends_at == now() + INSTANT


@on_sqlite
def test_an_unknown_session_was_revoked(issued: LiveSession) -> None:
    with pytest.raises(SessionRevokedError):
        rotate(issued, session_id=uuid4())


@on_sqlite
def test_a_rotation_is_never_a_part_of_something_that_could_roll_back(
    issued: LiveSession,
) -> None:
    with transaction(), pytest.raises(TransactionNestingError):
        rotate(issued)


def in_context(app: Flask, call: Callable[[], Any]) -> Callable[[], Any]:
    """The call as a thread has to make it; an error of ours is its answer."""

    def run() -> Any:
        with app.app_context():
            try:
                return persistently(call)
            except UnauthenticatedError as error:
                return error.code

    return run


def test_many_refreshes_of_one_token_move_the_session_once(
    clock: Clock, app: Flask, issued: LiveSession
) -> None:
    answers = all_at_once([in_context(app, lambda: rotate(issued))] * 20)
    assert {(answer.id, answer.generation) for answer in answers} == {(issued.id, 1)}
    assert live_session_row(app, issued.id)["generation"] == 1
    assert rotate_later(clock, answers[0]).generation == 2


def test_both_generations_at_once_move_the_session_once_after_the_grace(
    clock: Clock, app: Flask, issued: LiveSession
) -> None:
    """Clients that share a token, half of which has not read the newest yet."""
    current = rotate_later(clock, rotate(issued))
    for generation in range(2, 5):
        clock.shift(GRACE + INSTANT)
        at_once = [in_context(app, lambda token=current: rotate(token))] * 20
        answers = all_at_once(at_once)
        assert {answer.generation for answer in answers} == {generation + 1}
        previous, current = current, answers[0]
        mixed = [in_context(app, lambda token=t: rotate(token)) for t in (previous, current)] * 10
        assert {answer.generation for answer in all_at_once(mixed)} == {generation + 1}
    assert live_session_row(app, issued.id)["revoked_at"] is None


def test_a_refresh_and_the_end_of_its_session_never_both_win(app: Flask, user: UserRef) -> None:
    for _ in range(5):
        issued = make_session(user)

        def end(issued: LiveSession = issued) -> None:
            reason = RevokeReason.ENDED_BY_USER
            end_session(user, issued.id, reason, actor=VISITOR, request=REQUEST)

        def refresh(issued: LiveSession = issued) -> LiveSession:
            return rotate(issued)

        _, answer = all_at_once([in_context(app, end), in_context(app, refresh)])
        assert live_session_row(app, issued.id)["revoked_at"] is not None
        for token in (issued, issued if isinstance(answer, str) else answer):
            with pytest.raises(SessionRevokedError):
                rotate(token)


# The end.


def test_ending_a_session_emits_an_event_with_its_reason(
    clock: Clock, app: Flask, user: UserRef, issued: LiveSession
) -> None:
    kept = make_session(user)
    actor = Actor(user=user, session_id=kept.id)
    end_session(user, issued.id, RevokeReason.ENDED_BY_USER, actor=actor, request=REQUEST)
    row = live_session_row(app, issued.id)
    assert (row["revoked_at"], row["revoke_reason"]) == (now(), "ended_by_user")
    assert live_session_row(app, kept.id)["revoked_at"] is None
    (event,) = audit_trail(app, "session.revoked")
    assert event["details"] == {"reason": "ended_by_user", "session_id": str(issued.id)}
    assert event["actor_audit_id"] == event["subject_audit_id"] == user.audit_id


@pytest.mark.parametrize("column", ["revoked_at", "expires_at", "idle_expires_at"])
def test_a_session_that_does_not_count_any_more_is_not_found(
    clock: Clock, app: Flask, user: UserRef, issued: LiveSession, column: str
) -> None:
    change_session(app, issued.id, **{column: now()})
    with pytest.raises(SessionNotFoundError):
        end_session(user, issued.id, RevokeReason.LOGOUT, actor=VISITOR, request=REQUEST)


def test_no_user_ends_the_session_of_another(
    app: Flask, issued: LiveSession, stranger: UserRef
) -> None:
    for session_id in (issued.id, uuid4()):
        with pytest.raises(SessionNotFoundError):
            end_session(stranger, session_id, RevokeReason.LOGOUT, actor=VISITOR, request=REQUEST)
    assert live_session_row(app, issued.id)["revoked_at"] is None


def test_all_sessions_end_but_the_one_to_keep(app: Flask, user: UserRef, stranger: UserRef) -> None:
    own, other = [make_session(user) for _ in range(3)], make_session(stranger)
    reason = RevokeReason.PASSWORD_CHANGED
    count = end_sessions(user, reason, actor=VISITOR, request=REQUEST, keep=own[1].id)
    assert count == 2
    revoked = [live_session_row(app, issued.id)["revoke_reason"] for issued in (*own, other)]
    assert revoked == ["password_changed", None, "password_changed", None]
    (event,) = audit_trail(app, "session.revoked")
    assert event["details"] == {"reason": "password_changed", "count": 2}
    # Nothing is left to end, so nothing happened.
    assert end_sessions(user, reason, actor=VISITOR, request=REQUEST, keep=own[1].id) == 0
    assert len(audit_trail(app, "session.revoked")) == 1


def test_a_session_ends_once(clock: Clock, app: Flask, user: UserRef) -> None:
    issued = make_session(user)
    end_sessions(user, RevokeReason.LOGOUT_ALL, actor=VISITOR, request=REQUEST)
    row = live_session_row(app, issued.id)
    clock.shift(1)
    end_sessions(user, RevokeReason.DEACTIVATED, actor=VISITOR, request=REQUEST)
    assert live_session_row(app, issued.id) == row


def test_what_began_before_a_moment_ends(
    clock: Clock, app: Flask, user: UserRef, stranger: UserRef
) -> None:
    old, others = make_session(user), make_session(stranger)
    clock.shift(1)
    moment = now()
    new = make_session(user)

    end = partial(end_sessions_issued_before, moment, actor=OPERATOR, request=REQUEST)
    assert end(user=user) == 1
    assert live_session_row(app, old.id)["revoke_reason"] == "ended_by_admin"
    assert end() == 1
    assert live_session_row(app, others.id)["revoked_at"] is not None
    assert live_session_row(app, new.id)["revoked_at"] is None
    events = audit_trail(app, "session.revoked")
    assert [event["subject_audit_id"] for event in events] == [user.audit_id, None]
    assert {event["correlation_id"] for event in events} == {REQUEST.correlation_id}
    assert events[0]["details"]["issued_before"] == "2030-01-01T12:00:01Z"


def renew(user: UserRef, session: LiveSession) -> None:
    """Record that a user gave the password once more."""
    renew_authentication(
        user,
        session.id,
        level=Level.AAL1,
        proofs={Proof.PASSWORD},
        actor=VISITOR,
        request=REQUEST,
        now=now(),
    )


def test_only_a_live_session_is_authenticated_anew(
    clock: Clock, app: Flask, user: UserRef, issued: LiveSession, stranger: UserRef
) -> None:
    before = live_session_row(app, issued.id)
    clock.shift(60)
    renew(user, issued)
    assert live_session_row(app, issued.id) == {**before, "auth_time": now()}
    with pytest.raises(SessionRevokedError):
        renew(stranger, issued)
    change_session(app, issued.id, revoked_at=now())
    with pytest.raises(SessionRevokedError):
        renew(user, issued)
    assert len(audit_trail(app, "session.reauthenticated")) == 1


# The end of the rows.


def make_rows(user: UserRef, count: int, **columns: datetime) -> None:
    row = {
        "user_id": user.id,
        "generation": 0,
        "family_digest": bytes(32),
        "created_at": now(),
        "last_used_at": now(),
        "idle_expires_at": now() + IDLE,
        "expires_at": now() + ABSOLUTE,
        "amr": ["pwd"],
        "auth_time": now(),
        **columns,
    }
    with transaction() as session:
        session.execute(insert(Session), [row] * count)


def test_the_dead_are_purged_in_slices(clock: Clock, app: Flask, user: UserRef) -> None:
    hour = timedelta(hours=1)
    live = make_session(user)
    make_rows(user, PURGE_SLICE + 1, revoked_at=now() - hour - INSTANT)
    make_rows(user, 2, expires_at=now() - hour - INSTANT)
    make_rows(user, 2, idle_expires_at=now() - hour - INSTANT)
    make_rows(user, 1, revoked_at=now() - hour, expires_at=now(), idle_expires_at=now() - hour)

    slices = purge_dead_sessions()
    assert next(slices) == PURGE_SLICE
    # Each slice is committed before the next.
    assert count_sessions(app) == 7
    assert list(slices) == [5]
    assert count_sessions(app) == 2
    assert [session.id for session in find_live_sessions(user.id, limit=9)] == [live.id]
    assert list(purge_dead_sessions()) == []


def test_a_session_that_has_risen_meanwhile_is_not_renewed_by_less(
    app: Flask, user: UserRef, issued: LiveSession
) -> None:
    """Otherwise a password alone would freshen a session of two factors."""
    change_session(app, issued.id, aal=Level.AAL2)
    before = live_session_row(app, issued.id)
    with pytest.raises(StepUpRequiredError) as caught:
        renew(user, issued)
    assert caught.value.challenge == StepUpRequiredError(level=Level.AAL2).challenge
    assert live_session_row(app, issued.id) == before
