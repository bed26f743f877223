"""Values that `/metrics` reads from the database at each scrape."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from authserve import __version__
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.breakers import BREAKERS
from authserve.core.clock import now
from authserve.core.events import AuditAction, Outcome
from authserve.database.emit import emit
from authserve.database.transactions import read_all, reading, transaction
from authserve.metrics import scraping
from authserve.metrics.families import BREAKER_STATES
from authserve.metrics.routes import SOURCES
from tests.support.clients import Caller, register
from tests.support.mail import work
from tests.support.marks import both_databases, on_postgresql
from tests.support.messages import change_messages
from tests.support.metrics import Scrape
from tests.support.trail import seal_all

Read = Callable[[], Scrape]

MESSAGES = "authserve_outbox_messages"
AGE = "authserve_outbox_oldest_age_seconds"
FINISHED = "authserve_outbox_finished_last_hour"
ERRORS = "authserve_scrape_errors"


def test_it_exports_release_and_start(read: Read) -> None:
    before = now().timestamp()
    found = read()
    assert found.value("authserve_build_info", version=__version__) == 1
    assert 0 < found.value("authserve_start_time_seconds") <= before


@both_databases
def test_it_exports_waiting_mail_and_its_age(
    app: Flask, client: FlaskClient, clock: time_machine.Traveller, read: Read
) -> None:
    assert read().value(AGE, state="pending") == 0
    for name in ("alice", "bob"):
        register(client, name)
        clock.shift(timedelta(minutes=5))
    found = read()
    assert found.value(MESSAGES, state="pending") == 2
    assert found.value(AGE, state="pending") == 600
    assert found.value(MESSAGES, state="dead") == found.value(AGE, state="dead") == 0


@both_databases
def test_it_exports_mail_that_was_given_up(
    app: Flask, client: FlaskClient, clock: time_machine.Traveller, read: Read
) -> None:
    register(client, "alice")
    change_messages(app, state="dead", finished_at=now())
    clock.shift(timedelta(days=1))
    found = read()
    assert (found.value(MESSAGES, state="dead"), found.value(MESSAGES, state="pending")) == (1, 0)
    assert found.value(AGE, state="dead") == 86_400


def test_it_exports_that_mail_leaves(
    app: Flask, client: FlaskClient, clock: time_machine.Traveller, read: Read
) -> None:
    register(client, "alice")
    work(app)
    found = read()
    assert found.value(FINISHED, state="sent") == 1
    assert found.value(MESSAGES, state="pending") == 0
    clock.shift(timedelta(hours=1, seconds=1))
    assert read().value(FINISHED, state="sent") == 0


def test_it_exports_the_age_of_the_key_and_when_the_next_is_due(
    clock: time_machine.Traveller, alice: Caller, read: Read
) -> None:
    age, due = "authserve_signing_key_age_seconds", "authserve_signing_key_rotation_seconds"
    first = read()
    assert first.value(age) + first.value(due) == timedelta(days=90).total_seconds()
    clock.shift(timedelta(days=91))
    later = read()
    assert later.value(age) == first.value(age) + 91 * 86_400
    assert later.value(due) < 0


def test_without_a_key_nothing_is_exported_about_one(read: Read) -> None:
    assert not [name for name in read().families if "signing_key" in name]


@both_databases
def test_it_exports_the_unsealed_events(app: Flask, alice: Caller, read: Read) -> None:
    assert read().value("authserve_audit_unsealed_events") >= 2
    with app.app_context():
        seal_all()
    assert read().value("authserve_audit_unsealed_events") == 0


def test_it_exports_when_the_trail_was_verified_and_that_it_was_whole(
    app: Flask, clock: time_machine.Traveller, read: Read
) -> None:
    verified, is_whole = "authserve_audit_verified_timestamp_seconds", "authserve_audit_is_whole"
    assert not [name for name in read().families if name in (verified, is_whole)]
    for outcome, value in ((Outcome.SUCCESS, 1), (Outcome.FAILURE, 0)):
        clock.shift(60)
        with app.app_context(), transaction():
            emit(AuditAction.AUDIT_VERIFIED, actor=OPERATOR, request=RequestInfo(), outcome=outcome)
        found = read()
        assert (found.value(verified), found.value(is_whole)) == (now().timestamp(), value)


@both_databases
def test_without_the_database_the_rest_is_exported(
    app: Flask, client: FlaskClient, lose_database: Callable[[], None], read: Read
) -> None:
    client.get("/healthz")
    before = read()
    assert set(before.series(ERRORS).values()) == {0}
    lose_database()
    found = read()
    assert found.series(ERRORS) == {(("source", name),): 1 for name, _ in SOURCES.of(app)}
    assert found.value(
        "authserve_http_requests_total", method="GET", route="/healthz", status="200"
    )
    gone = before.families.keys() - found.families.keys()
    assert gone == {
        MESSAGES,
        AGE,
        FINISHED,
        "authserve_audit_unsealed_events",
    }


@on_postgresql
def test_a_slow_query_is_given_up_and_none_follows(
    app: Flask, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scraping, "STATEMENT_TIMEOUT_MS", 50)
    asked: list[str] = []
    sleep = text("SELECT pg_sleep(60)")
    sources = (
        ("slow", lambda: read_all(sleep)),  # type: ignore[arg-type]
        ("next", lambda: asked.append("next") or []),  # type: ignore[func-returns-value]
    )
    SOURCES.fill(app, sources)
    assert set(read().series(ERRORS).values()) == {1}
    assert asked == []


@on_postgresql
def test_the_short_limit_ends_with_the_scrape(app: Flask, read: Read) -> None:
    read()
    with app.app_context(), reading() as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar_one() == "5s"


@on_postgresql
def test_an_open_breaker_is_exported(app: Flask, read: Read) -> None:
    name = "authserve_breaker_workers"
    closed = {"closed": 1, "open": 0, "half-open": 0}

    def states() -> dict[str, float]:
        found = read()
        return {
            state: found.value(name, breaker="database", state=state) for state in BREAKER_STATES
        }

    assert states() == closed
    with app.app_context():
        (breaker,) = [found for found in BREAKERS.get() if found.name == "database"]
    breaker.trip()
    assert states() == {"closed": 0, "open": 1, "half-open": 0}
