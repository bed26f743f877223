"""Sessions against a model: the same rules hold after any steps in any order.

The model is a few lines: of each session its generation, when it moved, its limits and whether it
was ended. After every step each token ever issued must be accepted or refused as in the model, and
the database must agree with it.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import time_machine
from flask import Flask
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select
from werkzeug.test import TestResponse

from authserve.app import create_app
from authserve.core.actor import RequestInfo
from authserve.core.clock import now
from authserve.database.transactions import db, read_all
from authserve.keys.policy import RotationCause
from authserve.keys.rotation import rotate
from authserve.keys.store import KEY_STORE, KeyStore
from authserve.sessions.models import Session
from authserve.sessions.revoke import purge_dead_sessions
from authserve.settings.model import SETTINGS
from tests.conftest import PostgreSQL, make_settings
from tests.support.clients import login, register
from tests.support.tokens import claims_of

GRACE = timedelta(seconds=10)
LEEWAY = timedelta(seconds=30)
IDLE = timedelta(days=14)
ABSOLUTE = timedelta(days=30)

PEOPLE = ("alice", "bob")

INSTANT = timedelta(microseconds=1)

WAITS = (timedelta(0), INSTANT, GRACE - INSTANT, GRACE, GRACE + INSTANT, timedelta(seconds=300))
"""Waits between the refreshes of one client: around the grace."""

STEPS = (
    timedelta(seconds=1),
    timedelta(seconds=300),
    timedelta(seconds=629),
    timedelta(seconds=631),
    timedelta(hours=2),
    timedelta(days=5),
    IDLE - timedelta(days=5),
)
"""Other steps of time: over every limit, and up to the instant before it."""


@dataclass
class ModelSession:
    """The expected state of one session."""

    id: str
    owner: str
    idle_end: datetime
    end: datetime
    generation: int = 0
    moved_at: datetime | None = None
    is_ended: bool = False
    last_used_at: datetime = field(default_factory=now)

    @property
    def is_within_grace(self) -> bool:
        """True while neither its current nor its previous token rotates it."""
        return self.moved_at is not None and now() - self.moved_at <= GRACE

    @property
    def refusal(self) -> str | None:
        """The code that refuses its tokens, or None."""
        if self.is_ended:
            return "session_revoked"
        return "token_expired" if now() >= min(self.idle_end, self.end) else None


@dataclass
class Token:
    """A token that was issued, and its expected state."""

    text: str
    session: ModelSession
    generation: int
    expires_at: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.expires_at = datetime.fromtimestamp(claims_of(self.text)["exp"], UTC)

    @property
    def is_over(self) -> bool:
        """True if its own time is over, by more than clocks may differ."""
        return now() >= self.expires_at + LEEWAY


@dataclass
class Pair:
    """An access and a refresh token."""

    access: Token
    refresh: Token


class SessionMachine(RuleBasedStateMachine):
    """Signs in, refreshes, replays, ends, waits and restarts, in any order."""

    pairs = Bundle("pairs")

    def __init__(self, world: "World") -> None:
        super().__init__()
        self.travel = time_machine.travel(datetime(2030, 1, 1, 12, tzinfo=UTC), tick=False)
        self.clock = self.travel.start()
        self.world = world
        self.world.begin_anew()
        self.sessions: list[ModelSession] = []

    @property
    def app(self) -> Flask:
        return self.world.app

    def teardown(self) -> None:
        self.travel.stop()

    def call(self, method: str, path: str, token: str = "", **kwargs: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.app.test_client().open(
            f"/api/v1{path}", method=method, headers=headers, **kwargs
        )

    def issued(self, session: ModelSession, tokens: dict[str, Any]) -> Pair:
        assert tokens["session_id"] == session.id
        pair = Pair(
            Token(tokens["access_token"], session, session.generation),
            Token(tokens["refresh_token"], session, session.generation),
        )
        assert claims_of(pair.refresh.text)["gen"] == session.generation
        assert pair.access.expires_at <= min(session.idle_end, session.end)
        assert pair.refresh.expires_at <= min(session.idle_end, session.end)
        return pair

    def assert_answer(self, response: TestResponse, *codes: str | None) -> bool:
        """Return True if a call succeeded, which None allows; fail on any other refusal."""
        is_answered = response.status_code in (200, 204)
        code = None if is_answered else response.get_json()["code"]
        assert code in codes, (code, codes)
        assert is_answered or response.status_code == 401
        return is_answered

    # Steps of users.

    @initialize()
    def people_register(self) -> None:
        for name in PEOPLE:
            assert register(self.app.test_client(), name).status_code == 201

    @rule(target=pairs, name=st.sampled_from(PEOPLE))
    def a_user_signs_in(self, name: str) -> Any:
        return multiple(self.sign_in(name), self.sign_in(name))

    def sign_in(self, name: str) -> Pair:
        tokens = login(self.app.test_client(), name).get_json()
        session = ModelSession(tokens["session_id"], name, now() + IDLE, now() + ABSOLUTE)
        self.sessions.append(session)
        return self.issued(session, tokens)

    @rule(target=pairs, pair=pairs, waits=st.lists(st.sampled_from(WAITS), max_size=3))
    def a_session_is_refreshed_again_and_again(self, pair: Pair, waits: list[timedelta]) -> Any:
        """From any token ever issued: the present one, its parent, or an older one."""
        made = [self.refresh(pair)]
        for wait in waits:
            self.clock.shift(wait)
            made.append(self.refresh(made[-1] or pair))
        return multiple(*(pair for pair in made if pair is not None))

    @rule(target=pairs, pair=pairs, waits=st.lists(st.sampled_from(WAITS), min_size=1, max_size=2))
    def a_token_is_refreshed_and_replayed(self, pair: Pair, waits: list[timedelta]) -> Any:
        made = [self.refresh(pair)]
        for wait in waits:
            self.clock.shift(wait)
            made.append(self.refresh(pair))
        return multiple(*(pair for pair in made if pair is not None))

    def refresh(self, pair: Pair) -> Pair | None:
        """Refresh; return the new pair, or None after a refusal."""
        token, session = pair.refresh, pair.refresh.session
        code = self.refusal_of_refresh(token)
        response = self.call("POST", "/auth/refresh", json={"refresh_token": token.text})
        if code == "token_reused":
            session.is_ended = True
        if not self.assert_answer(response, code):
            return None
        if token.generation == session.generation and not session.is_within_grace:
            session.generation += 1
            session.moved_at = now()
            session.last_used_at = now()
            session.idle_end = min(now() + IDLE, session.end)
        return self.issued(session, response.get_json())

    @staticmethod
    def refusal_of_refresh(token: Token) -> str | None:
        session = token.session
        if token.is_over:
            return "token_expired"
        if session.refusal or token.generation == session.generation:
            return session.refusal
        is_parent = token.generation == session.generation - 1
        return None if is_parent and session.is_within_grace else "token_reused"

    @rule(pair=pairs)
    def an_access_token_is_used(self, pair: Pair) -> None:
        response = self.call("GET", "/users/me", pair.access.text)
        self.assert_answer(response, *self.refusals_of_access(pair.access))

    @staticmethod
    def refusals_of_access(token: Token) -> tuple[str | None, ...]:
        # The key of an expired one may be deleted, and then its expiry cannot be verified.
        return ("token_expired", "invalid_token") if token.is_over else (token.session.refusal,)

    @rule(pair=pairs, other=pairs, how=st.integers(0, 7))
    def a_session_is_ended(self, pair: Pair, other: Pair, how: int) -> None:
        """End one session, or more seldom all of a user's, so that some stay live."""
        if how == 0:
            self.log_out_everywhere(pair.access)
        elif how < 3:
            self.log_out_with_access(pair.access)
        elif how < 5:
            self.log_out_with_refresh(pair.refresh)
        else:
            self.end_from_another(pair.access, other.access.session)

    def log_out_with_access(self, token: Token) -> None:
        response = self.call("POST", "/auth/logout", token.text)
        codes = ("invalid_token",) if token.is_over else ()
        if self.assert_answer(response, token.session.refusal, *codes):
            token.session.is_ended = True

    def log_out_with_refresh(self, token: Token) -> None:
        response = self.call("POST", "/auth/logout", token.text)
        code = "token_expired" if token.is_over else token.session.refusal
        if self.assert_answer(response, code):
            token.session.is_ended = True

    def log_out_everywhere(self, token: Token) -> None:
        response = self.call("POST", "/auth/logout-all", token.text)
        if self.assert_answer(response, *self.refusals_of_access(token)):
            for session in self.sessions:
                if session.owner == token.session.owner:
                    session.is_ended = True

    def end_from_another(self, token: Token, target: ModelSession) -> None:
        is_there = target.owner == token.session.owner and target.refusal is None
        response = self.call("DELETE", f"/users/me/sessions/{target.id}", token.text)
        if response.status_code == 404:
            assert token.session.refusal is None
            assert not is_there
        elif self.assert_answer(response, *self.refusals_of_access(token)):
            assert is_there
            target.is_ended = True

    # Other steps.

    @rule(step=st.sampled_from(STEPS))
    def time_passes(self, step: timedelta) -> None:
        self.clock.shift(step)

    @rule(what=st.integers(0, 9))
    def the_operator_is_at_work(self, what: int) -> None:
        if what == 0:
            self.world.restart()
            return
        with self.app.app_context():
            if what < 5:
                list(purge_dead_sessions())
            else:
                rotate(RotationCause.ORDER, request=RequestInfo())
                # The two seconds after which every worker has seen it; they pass by another clock.
                self.world.forget_keys()

    # Invariants.

    @invariant()
    def the_database_agrees_with_the_model(self) -> None:
        with self.app.app_context():
            rows = {str(row.id): row for row in read_all(select(Session.__table__))}
        for session in self.sessions:
            row = rows.pop(session.id, None)
            if row is None:
                # Purged, so no token of it may be good.
                assert session.refusal is not None
                continue
            assert (row.generation, row.rotated_at) == (session.generation, session.moved_at)
            assert row.last_used_at == session.last_used_at
            assert (row.revoked_at is not None) is session.is_ended
            assert (row.idle_expires_at, row.expires_at) == (session.idle_end, session.end)
        assert rows == {}


class World:
    """A database to begin anew with, and a service to restart on it.

    Args:
        make_empty: makes the database at `url`, in place of one that may be there.
    """

    def __init__(self, url: str, folder: Path, make_empty: Callable[[], None]) -> None:
        self.app = create_app(make_settings(url, folder))
        self._make_empty = make_empty

    def begin_anew(self) -> None:
        self.dispose()
        self._make_empty()
        self.forget_keys()

    def restart(self) -> None:
        self.dispose()
        self.app = create_app(SETTINGS.of(self.app))

    def forget_keys(self) -> None:
        KEY_STORE.fill(self.app, KeyStore())

    def dispose(self) -> None:
        with self.app.app_context():
            db.engine.dispose()


def run(world: World, *, examples: int) -> None:
    chosen = settings(
        max_examples=examples,
        stateful_step_count=40,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(lambda: SessionMachine(world), settings=chosen)
    world.dispose()


def test_any_order_of_events_keeps_the_rules_on_sqlite(
    sqlite_template: Path, tmp_path: Path
) -> None:
    path = tmp_path / "test.db"

    def make_empty() -> None:
        for old in tmp_path.glob("test.db*"):
            old.unlink()
        shutil.copy(sqlite_template, path)

    run(World(f"sqlite:///{path}", tmp_path, make_empty), examples=8)


def test_any_order_of_events_keeps_the_rules_on_postgresql(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:
    name = f"machine_{uuid4().hex}"

    def make_empty() -> None:
        postgresql.drop(name)
        postgresql.create(name, template="template")

    run(World(postgresql.url(name), tmp_path, make_empty), examples=2)
    postgresql.drop(name)
