"""The findings of `flask doctor`, for good and bad states."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import gunicorn
import psycopg2
import pytest
import time_machine
from flask import Flask
from sqlalchemy import event, text

from authserve.app import create_app
from authserve.audit.seal import seal_events
from authserve.clients.registry import register_client
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.crypto import KEYRING, Keyring
from authserve.core.events import AuditAction, Outcome
from authserve.database.emit import emit
from authserve.database.transactions import db, transaction
from authserve.keys.store import KEY_STORE, KeyStore
from authserve.mail.mailer import Mailer
from authserve.outbox.delivery import claim, mark_failed
from authserve.outbox.enqueue import enqueue
from authserve.outbox.heartbeat import record_heartbeat
from authserve.settings.urls import parse_outbound_hosts, parse_return_urls
from authserve.users.accounts import deactivate
from tests.conftest import PostgreSQL, libpq_url, make_settings
from tests.factories import make_user
from tests.forwardauth.conftest import FILES
from tests.support.clients import Caller, register_caller
from tests.support.marks import both_databases, on_postgresql
from tests.support.ranges import range_server, reply, send
from tests.support.redis import RedisServer

MakeApp = Callable[..., Flask]


def examine(app: Flask, *, renders_mails: bool = False) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit status and the findings by check.

    Args:
        renders_mails: True to render every mail, which takes twice the time of all other checks.
    """
    with (
        nullcontext()
        if renders_mails
        else patch.object(Mailer, "find_template_faults", lambda _: [])
    ):
        result = app.test_cli_runner().invoke(args=["doctor", "--json"])
    # In a test, log lines of this process come before the answer.
    document = json.loads(result.stdout[result.stdout.index("{\n") :])
    return result.exit_code, {finding["check"]: finding for finding in document["findings"]}


@both_databases
def test_it_finds_nothing_in_a_sound_deployment(make_app: MakeApp) -> None:
    app = make_app(ratelimit_enabled=True)
    register_caller(app, "alice")
    with app.app_context():
        list(record_heartbeat())
    status, findings = examine(app, renders_mails=True)
    assert status == 0
    levels = {check: finding["level"] for check, finding in findings.items()}
    assert set(levels.values()) <= {"ok", "warning"}
    # The mail of a test goes to the log.
    assert [check for check, level in levels.items() if level == "warning"] == ["mail"]


def test_accounts_of_the_example_file_are_reported_in_production(make_app: MakeApp) -> None:
    """The database may have been seeded before it became production's."""
    app = make_app(app_env="production", public_url="https://auth.example.com")
    with app.app_context():
        make_user("amara")
        gone = make_user("zoe")
        deactivate(gone.id, actor=OPERATOR, request=RequestInfo())
    found = examine(app)[1]["example accounts"]
    assert found["level"] == "warning"
    assert found["message"].startswith("Active accounts at example.com: amara@example.com. The")
    assert examine(make_app())[1]["example accounts"]["level"] == "ok"


def test_it_renders_every_mail(make_app: MakeApp, tmp_path: Path) -> None:
    assert examine(make_app(), renders_mails=True)[1]["mail templates"]["level"] == "ok"
    (tmp_path / "reset_password.txt").write_text("{{ lifetime }}")
    status, findings = examine(make_app(mail_templates=tmp_path), renders_mails=True)
    assert (status, findings["mail templates"]["level"]) == (1, "failure")
    assert "reset_password: 'lifetime' is undefined" in findings["mail templates"]["message"]


def test_it_reports_the_last_nightly_verification(
    app: Flask, clock: time_machine.Traveller
) -> None:
    def level() -> str:
        found: str = examine(app)[1]["audit verification"]["level"]
        return found

    def record(outcome: Outcome, **details: str) -> None:
        with app.app_context(), transaction():
            emit(
                AuditAction.AUDIT_VERIFIED,
                actor=OPERATOR,
                request=RequestInfo(),
                details=details,
                outcome=outcome,
            )

    assert level() == "ok"
    record(Outcome.SUCCESS)
    clock.shift(timedelta(days=3))
    assert level() == "ok"
    clock.shift(1)
    assert level() == "warning"
    record(Outcome.FAILURE, fault="event 1 was removed")
    status, findings = examine(app)
    assert (status, findings["audit verification"]["level"]) == (1, "failure")
    assert "event 1 was removed" in findings["audit verification"]["message"]


def test_it_reports_whether_limits_are_on(make_app: MakeApp) -> None:
    found = examine(make_app(ratelimit_enabled=True))[1]["limits"]
    assert found["level"] == "ok"
    assert found["message"] == "Limits are on, and counted in the database."
    assert examine(make_app(ratelimit_enabled=False))[1]["limits"]["level"] == "warning"


def test_it_misses_the_salt_of_flask_security(make_app: MakeApp) -> None:
    app = make_app()
    register_caller(app, "alice")
    assert examine(app)[1]["imported passwords"]["level"] == "ok"
    with app.app_context(), transaction() as session:
        session.execute(text("UPDATE users SET password_hash = '$flask-security$$2b$04$x'"))
    status, findings = examine(app)
    assert (status, findings["imported passwords"]["level"]) == (1, "failure")
    assert "FLASK_SECURITY_SALT" in findings["imported passwords"]["message"]
    assert examine(make_app(flask_security_salt="salt"))[1]["imported passwords"]["level"] == "ok"


def test_it_warns_of_another_gunicorn(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    assert examine(make_app())[1]["gunicorn"]["level"] == "ok"
    monkeypatch.setattr(gunicorn, "__version__", "99.0")
    found = examine(make_app())[1]["gunicorn"]
    assert (found["level"], "99.0" in found["message"]) == ("warning", True)


def test_it_asks_redis(make_app: MakeApp, redis_server: RedisServer) -> None:
    app = make_app(ratelimit_enabled=True, ratelimit_storage_url=redis_server.url)
    assert examine(app)[1]["limits"]["level"] == "ok"
    redis_server.stop()
    status, findings = examine(app)
    assert (status, findings["limits"]["level"]) == (0, "warning")
    assert "it cannot be reached" in findings["limits"]["message"]
    assert str(redis_server.port) not in findings["limits"]["message"]


def test_it_prints_for_people(app: Flask) -> None:
    result = app.test_cli_runner().invoke(args=["doctor"])
    assert "ok       migrations: The database has what this release expects." in result.stdout
    assert "Settings in force:" in result.stdout


def test_it_shows_settings_with_their_source_and_no_secret(make_app: MakeApp) -> None:
    app = make_app(
        mail_url="smtp://user:topsecret@127.0.0.1:1",
        cors_origins=("https://a.example.com", "https://b.example.com"),
        sources={
            "MAIL_URL": "environment",
            "SECRET_KEY": ".env",
            "SESSION_TTL": "default",
            "CORS_ORIGINS": "environment",
        },
    )
    result = app.test_cli_runner().invoke(args=["doctor", "--json"])
    shown = {line["name"]: line for line in json.loads(result.stdout)["settings"]}
    assert shown["MAIL_URL"] == {"name": "MAIL_URL", "value": "set", "source": "environment"}
    assert shown["SECRET_KEY"]["value"] == "set"
    assert shown["SESSION_TTL"]["value"] == "2592000 s"
    assert shown["CORS_ORIGINS"]["value"] == "https://a.example.com https://b.example.com"
    for secret in ("topsecret", app.config["SECRET_KEY"]):
        assert secret not in result.output


def test_it_fails_when_mail_cannot_leave(make_app: MakeApp) -> None:
    status, findings = examine(make_app(mail_url="smtp://127.0.0.1:1"))
    assert status == 1
    assert findings["mail"]["level"] == "failure"
    assert "MAIL_URL" in findings["mail"]["message"]


def test_it_warns_of_pages_that_may_not_call(make_app: MakeApp) -> None:
    def find(**settings: object) -> dict[str, Any]:
        return examine(make_app(**settings))[1]["origins"]

    url, origin = "https://app.example.com/reset#{token}", "https://app.example.com"
    assert find()["level"] == find(reset_url=url)["level"] == "ok"
    assert find(reset_url=url, cors_origins=(origin,))["level"] == "ok"
    own = "http://localhost:8000/mine#{token}"
    assert find(verify_url=own, cors_origins=(origin,))["level"] == "ok"
    pages = {"verify_url": url, "reset_url": url, "email_change_url": url, "invite_url": url}
    finding = find(**pages, cors_origins=("https://b.example.com",))
    assert finding["level"] == "warning"
    named = "VERIFY_URL, RESET_URL, EMAIL_CHANGE_URL, INVITE_URL: "
    assert finding["message"].startswith(named)


def test_it_warns_of_wide_networks_that_apps_may_name(make_app: MakeApp) -> None:
    def find(text: str) -> dict[str, Any]:
        return examine(make_app(outbound_hosts=parse_outbound_hosts(text)))[1]["outbound hosts"]

    assert find("")["level"] == "ok"
    finding = find("wiki.internal 10.0.0.0/8 169.254.169.254 fd00::/8")
    assert finding["level"] == "ok"
    assert "wiki.internal 10.0.0.0/8 169.254.169.254/32 fd00::/8" in finding["message"]
    finding = find("10.0.0.0/8 8.0.0.0/6 ::/0")
    assert finding["level"] == "warning"
    assert "8.0.0.0/6, ::/0" in finding["message"]


def test_it_asks_the_service_of_breached_passwords(make_app: MakeApp) -> None:
    check = "breached passwords"
    with range_server("password") as server:
        app = make_app(breached_passwords_url=server.url)
        assert examine(app)[1][check]["level"] == "ok"
        server.passwords.clear()
        assert examine(app)[1][check]["level"] == "warning"
        server.fault = send(reply(b"", status="500 Internal Server Error"))
        status, findings = examine(app)
    assert (status, findings[check]["level"]) == (1, "failure")
    assert "it answered 500" in findings[check]["message"]


def test_it_fails_without_a_database(tmp_path: Path) -> None:
    app = create_app(make_settings(f"sqlite:///{tmp_path}/nowhere/none.db", tmp_path))
    status, findings = examine(app)
    assert (status, findings["database"]["level"]) == (1, "failure")
    assert "migrations" not in findings


@both_databases
def test_it_fails_with_pending_migrations(app: Flask) -> None:
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    status, findings = examine(app)
    assert (status, findings["migrations"]["level"]) == (1, "failure")
    assert "flask db upgrade" in findings["migrations"]["message"]


def test_it_fails_when_the_signing_key_does_not_open(app: Flask, alice: Caller) -> None:
    KEYRING.fill(app, Keyring(("another secret, 0123456789 0123456789",)))
    KEY_STORE.fill(app, KeyStore())
    status, findings = examine(app)
    assert (status, findings["signing keys"]["level"]) == (1, "failure")
    assert "SECRET_KEY_FALLBACKS" in findings["signing keys"]["message"]


def test_it_warns_of_mail_that_waits(app: Flask, clock: time_machine.Traveller) -> None:
    with app.app_context(), transaction():
        enqueue("verify_email", {"email": "alice@example.com"})
    clock.shift(timedelta(minutes=11))
    assert "does `flask worker` run?" in examine(app)[1]["outbox"]["message"]


def test_it_reports_why_mail_waits(app: Flask, clock: time_machine.Traveller) -> None:
    """The worker may still have the settings of its start, while the doctor reads new ones."""
    with app.app_context():
        with transaction():
            enqueue("verify_email", {"email": "alice@example.com"})
        message = claim(["verify_email"])
        assert message is not None
        mark_failed(message, "the server refused the login (535 no)")
    clock.shift(timedelta(minutes=11))
    found = examine(app)[1]["outbox"]
    assert found["level"] == "warning"
    assert "the server refused the login (535 no)" in found["message"]
    assert "once `flask worker` is restarted" in found["message"]


@on_postgresql
@pytest.mark.parametrize(("seconds", "level"), [(10, "warning"), (40, "failure")])
def test_it_compares_the_clocks(app: Flask, seconds: int, level: str) -> None:
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=seconds)):
        assert examine(app)[1]["clock"]["level"] == level


@on_postgresql
def test_it_counts_connections(make_app: MakeApp) -> None:
    status, findings = examine(make_app(web_concurrency=64, database_pool_size=100))
    assert (status, findings["connections"]["level"]) == (1, "failure")


@pytest.mark.parametrize(
    ("public_url", "proxies", "level"),
    [
        ("https://auth.example.com", 1, "ok"),
        ("https://auth.example.com", 0, "warning"),
        ("http://localhost:8000", 1, "warning"),
        ("http://localhost:8000", 0, "ok"),
    ],
)
def test_it_holds_proxies_against_the_public_address(
    make_app: MakeApp, public_url: str, proxies: int, level: str
) -> None:
    app = make_app(public_url=public_url, trusted_proxies=proxies)
    assert examine(app)[1]["proxies"]["level"] == level


def test_it_warns_of_unsealed_events(make_app: MakeApp) -> None:
    app = make_app()
    register_caller(app, "alice")
    assert examine(app)[1]["audit"]["level"] == "ok"
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=11), tick=False):
        found = examine(app)[1]["audit"]
        assert found["level"] == "warning"
        assert "flask worker" in found["message"]
        with app.app_context():
            list(seal_events())
        assert examine(app)[1]["audit"]["level"] == "ok"


@pytest.fixture
def role(app: Flask, postgresql: PostgreSQL) -> Iterator[str]:
    """A role that may do nothing yet, as which the application connects from now on."""
    name = f"stranger_{uuid4().hex}"
    postgresql.execute(f"CREATE ROLE {name}")

    def become(dbapi_connection: Any, _record: object) -> None:
        dbapi_connection.cursor().execute(f"SET ROLE {name}")
        dbapi_connection.commit()

    with app.app_context():
        db.engine.dispose()
        event.listen(db.engine, "connect", become)
    yield name
    with app.app_context():
        event.remove(db.engine, "connect", become)
        db.engine.dispose()
        with db.engine.begin() as connection:
            connection.execute(text(f"DROP OWNED BY {name}"))
    postgresql.execute(f"DROP ROLE {name}")


@on_postgresql
def test_it_names_the_tables_that_the_role_may_not_write(
    app: Flask, database_url: str, role: str
) -> None:
    with closing(psycopg2.connect(libpq_url(database_url))) as connection:
        with connection.cursor() as cursor:
            cursor.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON sessions TO {role}")
            cursor.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
        connection.commit()
    status, findings = examine(app)
    assert (status, findings["writes"]["level"]) == (1, "failure")
    assert "users" in findings["writes"]["message"]
    assert " sessions" not in findings["writes"]["message"]


@pytest.mark.usefixtures("role")
@on_postgresql
def test_it_reports_that_the_role_may_not_even_read(app: Flask) -> None:
    status, findings = examine(app)
    assert (status, findings["migrations"]["level"]) == (1, "failure")
    # The server's own reason, without the class of the driver's error.
    assert "(permission denied" in findings["migrations"]["message"]


@both_databases
def test_it_fails_when_the_database_takes_no_writes(app: Flask) -> None:
    with app.app_context(), db.engine.begin() as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        connection.exec_driver_sql(
            "PRAGMA query_only = 1" if is_sqlite else "SET default_transaction_read_only = on"
        )
    status, findings = examine(app)
    assert (status, findings["writes"]["level"]) == (1, "failure")
    assert "read-only" in findings["writes"]["message"]


@pytest.mark.parametrize(
    ("free", "level"),
    [(2**20 - 1, "failure"), (2**20, "warning"), (100 * 2**20 - 1, "warning"), (2**30, "ok")],
)
def test_it_warns_of_a_full_disk(app: Flask, free: int, level: str) -> None:
    """Reading, and an UPDATE of no row, work on a full disk."""
    usage = SimpleNamespace(free=free)
    with patch("authserve.health.database_checks.shutil.disk_usage", lambda _: usage):
        findings = examine(app)[1]
    assert findings["writes"]["level"] == "ok"
    assert findings["disk"]["level"] == level


@on_postgresql
def test_it_lets_postgresql_write_to_its_disk(app: Flask) -> None:
    """`temp_file_limit` refuses what a full disk would."""
    assert examine(app)[1]["disk"]["level"] == "ok"
    with app.app_context(), db.engine.begin() as connection:
        connection.exec_driver_sql("SET temp_file_limit = '1MB'")
    assert examine(app)[1]["disk"]["level"] == "warning"


def test_it_warns_of_a_database_that_other_users_may_read(app: Flask) -> None:
    assert "database file" not in examine(app)[1]
    with app.app_context():
        Path(db.engine.url.database or "").chmod(0o644)
    status, findings = examine(app)
    assert (status, findings["database file"]["level"]) == (0, "warning")
    assert "chmod 600" in findings["database file"]["message"]


def test_it_warns_where_no_worker_runs(app: Flask, clock: time_machine.Traveller) -> None:
    assert examine(app)[1]["worker"]["level"] == "warning"
    with app.app_context():
        list(record_heartbeat())
        clock.shift(timedelta(minutes=10))
        list(record_heartbeat())
    clock.shift(timedelta(minutes=10))
    assert examine(app)[1]["worker"]["level"] == "ok"
    clock.shift(timedelta(seconds=1))
    found = examine(app)[1]["worker"]
    assert (found["level"], "flask worker" in found["message"]) == ("warning", True)


def test_it_holds_the_audit_trail_against_former_secrets(make_app: MakeApp) -> None:
    old, new = "a former secret, 0123456789 0123456789", "a new secret, 0123456789 0123456789"
    before = make_app(secret_key=old)
    register_caller(before, "alice")
    with before.app_context():
        list(seal_events())
    assert examine(before)[1]["former secrets"]["level"] == "ok"
    changed = make_app(secret_key=new, secret_key_fallbacks=(old,))
    found = examine(changed)[1]["former secrets"]
    assert (found["level"], "flask audit rewrap" in found["message"]) == ("warning", True)
    assert examine(make_app(secret_key=new))[1]["former secrets"]["level"] == "failure"
    assert changed.test_cli_runner().invoke(args=["audit", "rewrap"]).exit_code == 0
    assert examine(changed)[1]["former secrets"]["level"] == "ok"


def test_it_holds_the_processes_against_the_cpu_quota(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("authserve.health.deployment_checks.count_usable_cores", lambda: 2)
    monkeypatch.setattr("authserve.health.deployment_checks.find_cpu_quota", lambda: 1.5)
    found = examine(make_app(web_concurrency=3))[1]["cores"]
    assert found["level"] == "warning"
    assert "3; this machine lets it use 2 cores (its CPU quota is 1.5)" in found["message"]
    assert examine(make_app(web_concurrency=2))[1]["cores"]["level"] == "ok"


@on_postgresql
def test_it_warns_of_timeouts_that_are_not_in_force(app: Flask) -> None:
    assert examine(app)[1]["timeouts"]["level"] == "ok"

    def forget(connection: Any, _record: object) -> None:
        connection.cursor().execute("SET statement_timeout = 0")
        connection.commit()

    with app.app_context():
        db.engine.dispose()
        event.listen(db.engine, "connect", forget)
    found = examine(app)[1]["timeouts"]
    assert found["level"] == "warning"
    assert found["message"].startswith("statement_timeout is off: ")


@pytest.mark.parametrize(("color", "is_moved"), [("#2457a6", False), ("#ffe45c", True)])
def test_it_reports_what_pages_do(make_app: MakeApp, color: str, is_moved: bool) -> None:
    finding = examine(make_app(features=("pages",), brand_color=color))[1]["pages"]
    assert finding["level"] == "ok"
    assert "An app learns nothing" in finding["message"]
    assert ("BRAND_COLOR is shown darker" in finding["message"]) is is_moved


def test_it_reports_that_no_app_can_have_people_led_back(make_app: MakeApp) -> None:
    def message(**settings: object) -> str:
        found: str = examine(make_app(features=("pages",), **settings))[1]["pages"]["message"]
        return found

    assert "RETURN_URLS is empty, so after signing in, people stay on the pages." in message()
    addresses = parse_return_urls("https://app.example.com")
    assert "RETURN_URLS" not in message(return_urls=addresses)


@pytest.mark.parametrize(
    ("own", "level", "message"),
    [
        ({}, "ok", "PAGES_TEMPLATES adds nothing to pages."),
        (
            {"head": '<link rel="preload" href="{{ assets["logo"] }}" as="image">', "footer": ""},
            "ok",
            "PAGES_TEMPLATES adds brand_footer.html, brand_head.html to every page.",
        ),
        (
            {"header": '<script src="/own.js"></script><p lang="{{ language }}">{{ brand.name }}'},
            "ok",
            "PAGES_TEMPLATES adds brand_header.html to every page.",
        ),
        (
            {"head": "{{ title }}", "footer": "{{ 1 // 0 }}"},
            "failure",
            "brand_footer.html: integer division or modulo by zero; brand_head.html: 'title' is",
        ),
        ({"head": "<style>"}, "warning", "ignore the inline styles and scripts in brand_head.html"),
        ({"header": '<p style="color: red">'}, "warning", "in brand_header.html."),
        ({"footer": "<script>go()</script>"}, "warning", "in brand_footer.html."),
        ({"footer": '<a href="/" onclick="go()">'}, "warning", "in brand_footer.html."),
    ],
)
def test_it_renders_the_operators_parts_of_pages(
    make_app: MakeApp, tmp_path: Path, own: dict[str, str], level: str, message: str
) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    for part, html in own.items():
        (folder / f"brand_{part}.html").write_text(html)
    app = make_app(features=("pages",), pages_templates=folder)
    finding = examine(app)[1]["page templates"]
    assert (finding["level"], message in finding["message"]) == (level, True), finding


def test_it_shows_return_addresses_as_they_are_set(make_app: MakeApp) -> None:
    settings = "https://app.example.com/inside http://localhost:3000"
    app = make_app(return_urls=parse_return_urls(settings), sources={"RETURN_URLS": "environment"})
    result = app.test_cli_runner().invoke(args=["doctor", "--json"])
    assert settings in result.stdout


def test_it_reports_proxied_applications_and_the_networks_of_proxies(make_app: MakeApp) -> None:
    def findings(**settings: Any) -> list[tuple[str, str]]:
        app = make_app(features=("pages", "oidc", "forward-auth"), **settings)
        found = examine(app)[1]
        each = [found[name] for name in ("forward-auth", "proxied applications")]
        return [(finding["level"], finding["message"]) for finding in each]

    (level, message), (empty_level, _) = findings()
    assert (level, empty_level) == ("ok", "warning")
    assert "127.0.0.0/8, ::1/128" in message
    app = make_app(features=("pages", "oidc", "forward-auth"))
    with app.app_context():
        register_client("files", FILES, actor=OPERATOR, request=RequestInfo())
    wide = (ip_network("10.0.0.0/8"), ip_network("0.0.0.0/0"))
    networks, origins = findings(forward_auth_networks=wide)
    assert networks[0] == "warning"
    assert "not private: 0.0.0.0/0." in networks[1]
    assert origins == ("ok", "Proxies guard https://files.example.com.")
