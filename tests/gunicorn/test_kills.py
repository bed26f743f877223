"""Workers killed at any time: every acknowledged write is there, and none is half done."""

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random
from threading import Event

import psutil
import pytest
from flask import Flask
from sqlalchemy import func, select

from authserve.audit.models import AuditDetail, AuditEvent
from authserve.database.transactions import read_all
from authserve.passwords.hasher import PASSWORD_HASHER
from authserve.sessions.models import Session
from authserve.users.models import User
from authserve.verification.models import OneTimeToken
from tests.support.crowd import all_at_once
from tests.support.faults import rounds
from tests.support.marks import both_databases
from tests.support.messages import messages
from tests.support.residents import Resident
from tests.support.server import Server
from tests.support.tokens import claims_of
from tests.support.traffic import TRUSTING

pytestmark = [pytest.mark.gunicorn, pytest.mark.fault]

ROUNDS = rounds(1, at_most=200)

RESIDENTS = 4

GRACE_SECS = 10

PASSWORD_EVENTS = ("user.password_changed", "user.password_reset")


def kill_workers(server: Server) -> None:
    for worker in server.workers():
        psutil.Process(worker).kill()


def assert_nothing_lost(app: Flask, server: Server, resident: Resident) -> None:
    """Check that every acknowledged write is there and an interrupted client can continue."""
    if not resident.is_registered:
        return
    assert resident.is_stored(), resident.name
    with app.app_context():
        hasher = PASSWORD_HASHER.get()
        password = resident.stored_password(lambda *pair: hasher.verify(*pair).is_valid)
    assert password is not None, resident.name
    body = {"identifier": resident.name, "password": password}
    client = server.client()
    answer = client.post("/api/v1/auth/login", json=body)
    assert answer.status_code == 200, (resident.name, answer.text)


def assert_session_works(app: Flask, server: Server, resident: Resident) -> None:
    """Check that the client's token works, whether or not an interrupted refresh has happened."""
    if not resident.refresh_token:
        return
    with app.app_context():
        query = select(Session.generation).where(Session.id == resident.session_id)
        stored = int(read_all(query)[0].generation)
    assert stored - resident.generation in (0, 1), resident.name
    body = {"refresh_token": resident.refresh_token}
    client = server.client()
    answer = client.post("/api/v1/auth/refresh", json=body)
    assert answer.status_code == 200, (resident.name, answer.text)
    # Within the grace of the last refresh nothing rotates again.
    generation = claims_of(answer.json()["refresh_token"])["gen"]
    assert generation in (stored, stored + 1), resident.name
    assert generation > 0, resident.name


def assert_no_half_states(app: Flask) -> None:
    """Check for every account that each transaction was written as a whole."""
    with app.app_context():
        users = {row.audit_id: row for row in read_all(select(User.__table__))}
        sessions = [row.id for row in read_all(select(Session.id))]
        spent = read_all(select(OneTimeToken.user_id).where(OneTimeToken.used_at.is_not(None)))
        details = read_all(select(AuditEvent.action, AuditDetail.details).join(AuditDetail))
        count = select(AuditEvent.subject_audit_id, AuditEvent.action, func.count()).group_by(
            AuditEvent.subject_audit_id, AuditEvent.action
        )
        events = {(row[0], row[1]): row[2] for row in read_all(count)}
    resets = Counter(row.user_id for row in spent)
    owed = Counter(row["payload"]["email"] for row in messages(app, kind="verify_email"))
    for audit_id, user in users.items():
        assert events[audit_id, "user.registered"] == 1
        assert owed[user.email] == 1, "a user without mail"
        changes = sum(events.get((audit_id, action), 0) for action in PASSWORD_EVENTS)
        assert user.password_version == changes, "a password changed without an event"
        said = events.get((audit_id, "user.password_reset"), 0)
        assert resets[user.id] == said, "a link that was spent for nothing"
    assert len(owed) == len(users)
    assert sum(n for (_, action), n in events.items() if action == "user.registered") == len(users)
    started = [row.details["session_id"] for row in details if row.action == "session.started"]
    assert Counter(started) == Counter(str(session) for session in sessions)
    assert len(details) == sum(events.values()), "events without details"


@both_databases
def test_kills_lose_no_acknowledged_write_and_leave_no_half_state(
    app: Flask, make_server: Callable[..., Server]
) -> None:
    server = make_server(**TRUSTING, WEB_CONCURRENCY="2", RATELIMIT_ENABLED="false")
    for round_ in range(ROUNDS):
        choices, is_over = Random(round_), Event()
        residents = [
            Resident(
                app,
                server.client(until_served=False),
                f"resident{round_}.{number}",
                Random(ROUNDS * number + round_),
            )
            for number in range(RESIDENTS)
        ]

        def interrupt(is_over: Event = is_over, delay: float = choices.uniform(0, 1.5)) -> float:
            time.sleep(delay)
            kill_workers(server)
            # A client between two requests has not noticed.
            is_over.set()
            return time.monotonic()

        killed_at, *_ = all_at_once(
            [
                interrupt,
                *(partial(each.live_until_interrupted, is_over) for each in residents),
            ]
        )
        server.wait_until_healthy()
        for resident in residents:
            # On a busy machine it comes too late to be a retry.
            if time.monotonic() - killed_at < GRACE_SECS - 2:
                assert_session_works(app, server, resident)
            assert_nothing_lost(app, server, resident)
        assert_no_half_states(app)
    done = server.run("audit", "verify")
    assert done.returncode == 0, done.stderr
