"""Each check of `flask doctor` at its limit, on both sides of it."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import event, make_url, text

from authserve.core.actor import OPERATOR, VISITOR, RequestInfo
from authserve.core.cpu_quota import count_usable_cores
from authserve.core.events import AuditAction, Outcome
from authserve.core.findings import Finding, Level
from authserve.database.emit import emit
from authserve.database.readiness import expected_revision
from authserve.database.transactions import db, reading, transaction
from authserve.health.data_checks import (
    check_audit_trail,
    check_audit_verification,
    check_client_addresses,
    check_outbox,
    check_signing_keys,
    check_worker,
)
from authserve.health.database_checks import (
    check_connection,
    check_connection_count,
    check_file_modes,
    check_migrations,
    check_timeouts,
    rate_clock_difference,
)
from authserve.health.deployment_checks import (
    check_addresses,
    check_breached_passwords,
    check_cores,
    check_limits,
    check_mail,
    check_secret,
)
from authserve.keys.rotation import list_keys
from authserve.keys.store import KEY_STORE
from authserve.outbox.enqueue import enqueue
from authserve.outbox.heartbeat import record_heartbeat
from authserve.settings.model import SETTINGS, Settings
from tests.factories import make_user
from tests.support.marks import on_postgresql, on_sqlite

pytestmark = [on_sqlite, pytest.mark.usefixtures("context")]

OK, WARNING, FAILURE = Level.OK, Level.WARNING, Level.FAILURE


def settings_with(**changes: Any) -> Settings:
    return replace(SETTINGS.get(), **changes)


def beat() -> None:
    list(record_heartbeat())


def enqueue_mail() -> None:
    with transaction():
        enqueue("verify_email", {"email": "alice@example.com"})


def verify_trail() -> None:
    with transaction():
        emit(AuditAction.AUDIT_VERIFIED, actor=OPERATOR, request=RequestInfo())


@pytest.mark.parametrize(
    ("arrange", "check", "limit"),
    [
        (beat, check_worker, timedelta(minutes=10)),
        (enqueue_mail, check_outbox, timedelta(minutes=10)),
        (verify_trail, check_audit_trail, timedelta(minutes=10)),
        (verify_trail, check_audit_verification, timedelta(days=3)),
    ],
)
def test_an_age_is_good_up_to_its_limit(
    clock: time_machine.Traveller,
    arrange: Callable[[], None],
    check: Callable[[], Finding],
    limit: timedelta,
) -> None:
    arrange()
    clock.shift(limit)
    assert check().level is OK
    clock.shift(timedelta(seconds=1))
    assert check().level is WARNING


def test_a_key_may_sign_for_97_days(clock: time_machine.Traveller) -> None:
    KEY_STORE.get().signing_key()
    (key,) = list_keys()
    clock.move_to(key.active_from + timedelta(days=97))
    assert check_signing_keys().level is OK
    clock.shift(timedelta(seconds=1))
    assert check_signing_keys().level is WARNING


def test_before_the_first_key_worker_and_night_only_the_worker_is_missed() -> None:
    assert check_signing_keys().level is OK
    assert check_worker().level is WARNING
    assert check_audit_verification().level is OK


@pytest.mark.parametrize(
    ("seconds", "level"),
    [
        (0, OK),
        (5, OK),
        (5.000001, WARNING),
        (30, WARNING),
        (30.000001, FAILURE),
        (86_400, FAILURE),
    ],
)
def test_clocks_may_differ_by_five_seconds_and_never_by_more_than_thirty(
    seconds: float, level: Level
) -> None:
    found = rate_clock_difference(timedelta(seconds=seconds))
    assert found.level is level
    assert f"differ by {seconds:.1f} s" in found.message


@pytest.mark.parametrize(("state", "level"), [("sent", OK), ("pending", OK), ("dead", WARNING)])
def test_one_mail_that_was_given_up_is_too_many(state: str, level: Level) -> None:
    enqueue_mail()
    with transaction() as session:
        session.execute(text("UPDATE outbox_messages SET state = :state"), {"state": state})
    assert check_outbox().level is level


@pytest.mark.parametrize(("users", "events", "level"), [(5, 20, WARNING), (4, 20, OK), (5, 19, OK)])
def test_an_address_is_shared_from_twenty_events_of_five_users_on(
    users: int, events: int, level: Level
) -> None:
    people = [make_user(f"user{number}") for number in range(users)]
    for number in range(events):
        with transaction():
            emit(
                AuditAction.SESSION_SIGN_IN_THROTTLED,
                outcome=Outcome.FAILURE,
                actor=VISITOR,
                subject=people[number % users],
                request=RequestInfo(ip="10.0.0.1"),
            )
    assert check_client_addresses(SETTINGS.get()).level is level


@pytest.mark.parametrize(
    ("count", "rule"),
    [
        (0, "The client is the peer"),
        (1, "is the last in X-Forwarded-For"),
        (2, "is number 2 from the end"),
    ],
)
def test_the_rule_for_addresses_is_reported(count: int, rule: str) -> None:
    found = check_client_addresses(settings_with(trusted_proxies=count))
    assert (found.level, rule in found.message) == (OK, True)


@pytest.mark.parametrize(
    ("app_env", "public_url", "level"),
    [
        ("production", "https://auth.example.com", OK),
        ("production", "http://auth.example.com", FAILURE),
        ("development", "http://localhost:8000", OK),
    ],
)
def test_production_needs_https(app_env: str, public_url: str, level: Level) -> None:
    settings = settings_with(app_env=app_env, public_url=public_url, trusted_proxies=0)
    found = {finding.check: finding.level for finding in check_addresses(settings)}
    assert found["tls"] is level


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"app_env": "production"}, "is set and strong"),
        ({"sources": {"SECRET_KEY": "made"}}, "was made in the instance folder"),
        ({"sources": {"SECRET_KEY": "environment"}}, "comes from environment"),
    ],
)
def test_the_source_of_the_secret_is_reported(changes: dict[str, Any], words: str) -> None:
    found = check_secret(settings_with(**changes))
    assert (found.level, words in found.message) == (OK, True)


@pytest.mark.parametrize(("surplus", "level"), [(0, OK), (1, WARNING)])
def test_as_many_processes_as_cores_are_good(surplus: int, level: Level) -> None:
    wanted = count_usable_cores() + surplus
    assert check_cores(settings_with(web_concurrency=wanted)).level is level


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o620, 0o610, 0o604, 0o602, 0o601])
def test_a_database_file_is_for_its_owner_alone(mode: int) -> None:
    Path(db.engine.url.database or "").chmod(mode)
    found = [finding.level for finding in check_file_modes()]
    assert found == ([] if mode == 0o600 else [WARNING])


def test_mail_to_a_folder_is_good_while_the_folder_can_be_written(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    app = make_app(mail_url=f"file://{tmp_path}/mails")
    with app.app_context():
        assert check_mail(SETTINGS.get()).level is OK
    (tmp_path / "mails").write_text("a file, not a folder")
    with app.app_context():
        assert check_mail(SETTINGS.get()).level is FAILURE


def test_no_range_service_is_no_fault() -> None:
    found = check_breached_passwords(settings_with(breached_passwords_url=""))
    assert (found.level, "BREACHED_PASSWORDS_URL is empty" in found.message) == (OK, True)


def test_a_connection_that_answers_no_statement_is_a_failure() -> None:
    """A pooler accepts connections while the server behind it is away."""
    with reading() as connection:
        driver: Any = connection.connection.dbapi_connection
        driver.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)
    assert check_connection(SETTINGS.get()).level is FAILURE
    driver.set_authorizer(None)
    assert check_connection(SETTINGS.get()).level is OK


@pytest.mark.parametrize(("app_env", "level"), [("production", WARNING), ("development", OK)])
def test_sqlite_is_for_one_machine(app_env: str, level: Level) -> None:
    assert check_connection(settings_with(app_env=app_env)).level is level


@on_postgresql
@pytest.mark.parametrize(
    ("host", "query", "level"),
    [
        ("db.example.com", "", WARNING),
        ("db.example.com", "?sslmode=prefer", WARNING),
        ("db.example.com", "?sslmode=require", OK),
        ("db.example.com", "?sslmode=verify-ca", OK),
        ("db.example.com", "?sslmode=verify-full", OK),
        ("localhost", "", OK),
        ("127.0.0.1", "", OK),
        ("[::1]", "", OK),
        ("", "?host=/run/postgresql", OK),
        ("", "?host=@socket", OK),
        ("", "?host=localhost&host=db.example.com", WARNING),
    ],
)
def test_a_database_elsewhere_needs_tls(host: str, query: str, level: Level) -> None:
    url = f"postgresql+psycopg2://authserve@{host}/authserve{query}"
    assert check_connection(settings_with(database_url=url)).level is level


@on_postgresql
@pytest.mark.parametrize(("surplus", "level"), [(-1, OK), (0, FAILURE)])
def test_the_workers_leave_a_connection_free(surplus: int, level: Level) -> None:
    with db.engine.connect() as connection:
        maximum = int(connection.execute(text("SHOW max_connections")).scalar_one())
    settings = settings_with(web_concurrency=1, database_pool_size=maximum + surplus)
    assert check_connection_count(settings).level is level


@on_postgresql
@pytest.mark.parametrize(
    "name", ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"]
)
def test_each_timeout_is_missed(name: str) -> None:
    def forget(connection: Any, _record: object) -> None:
        connection.cursor().execute(f"SET {name} = 0")
        connection.commit()

    url = make_url(SETTINGS.get().database_url)
    assert [finding.level for finding in check_timeouts(url)] == [OK]
    db.engine.dispose()
    event.listen(db.engine, "connect", forget)
    (found,) = check_timeouts(url)
    assert (found.level, found.message.startswith(f"{name} is off")) == (WARNING, True)


@pytest.mark.parametrize(
    ("revision", "level"),
    [(None, OK), ("9999", OK), ("0001", FAILURE)],
    ids=["this release's", "a newer release's", "an older one"],
)
def test_a_schema_is_good_from_this_release_on(revision: str | None, level: Level) -> None:
    with db.engine.begin() as connection:
        connection.execute(
            text("UPDATE alembic_version SET version_num = :revision"),
            {"revision": revision or expected_revision()},
        )
    assert check_migrations().level is level


@pytest.mark.parametrize(
    ("url", "level"),
    [
        ("redis://:secret@127.0.0.1:6379/0", OK),
        ("redis://localhost", OK),
        ("rediss://:secret@redis.internal", OK),
        ("redis://:secret@redis.internal", WARNING),
    ],
)
def test_redis_elsewhere_needs_tls(url: str, level: Level) -> None:
    """The counters are in the database here, so none is asked."""
    found = check_limits(settings_with(ratelimit_enabled=True, ratelimit_storage_url=url))
    assert (found.level, "secret" in found.message) == (level, False)
