"""The whole service behind a pooler in transaction mode."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError

from authserve.app import create_app
from authserve.database.transactions import db, reading, transaction
from authserve.settings.database_url import database_url as parser_of
from tests.conftest import PostgreSQL, make_settings, migrate
from tests.support.clients import login, register_caller
from tests.support.crowd import all_at_once
from tests.support.databases import executed
from tests.support.marks import on_postgresql
from tests.support.pooler import find_pgbouncer, pgbouncer, stand_in_pooler

pytestmark = on_postgresql

ROUNDS = 10


@pytest.fixture(params=["stand-in", "pgbouncer"])
def pooler(
    request: pytest.FixtureRequest, postgresql: PostgreSQL, database_url: str, tmp_path: Path
) -> Iterator[Callable[[str], str]]:
    """Return the `DATABASE_URL` of a database behind a pooler."""
    direct = make_url(postgresql.url("postgres"))
    folder, user = Path(str(direct.query["host"])), str(direct.username)
    program = find_pgbouncer()
    if request.param == "stand-in":
        opened = stand_in_pooler(folder, user)
    elif program is None:
        pytest.skip("no pgbouncer is installed here")
    else:
        opened = pgbouncer(program, folder, user, tmp_path)
    with opened as port:
        query = "sslmode=disable&gssencmode=disable&pgbouncer=true"
        yield lambda name: f"postgresql://{user}@127.0.0.1:{port}/{name}?{query}"


@pytest.fixture
def pooled_url(pooler: Callable[[str], str], database_url: str) -> str:
    """The URL of this test's database, reached through a pooler."""
    return parser_of(Path("/"))(pooler(str(make_url(database_url).database)))


@pytest.fixture
def app(pooled_url: str, tmp_path: Path) -> Iterator[Flask]:
    app = create_app(make_settings(pooled_url, tmp_path, ratelimit_enabled=True))
    yield app
    with app.app_context():
        db.engine.dispose()


def test_every_call_is_served(app: Flask) -> None:
    alice = register_caller(app, "alice")
    for _ in range(ROUNDS):
        assert alice.get("/api/v1/users/me").status_code == 200
        token = {"refresh_token": alice.tokens["refresh_token"]}
        answer = alice.client.post("/api/v1/auth/refresh", json=token)
        assert answer.status_code == 200
        alice.tokens = answer.get_json()
        assert alice.patch("/api/v1/users/me", json={"display_name": "A"}).status_code == 200
    me = lambda: alice.get("/api/v1/users/me").status_code  # noqa: E731
    assert set(all_at_once([me] * ROUNDS)) == {200}
    assert login(alice.client, "alice").status_code == 200
    assert app.test_client().get("/readyz").status_code == 200


TIMEOUTS = {
    "statement_timeout": "5s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "10s",
    "TimeZone": "UTC",
}


@pytest.mark.parametrize("connect", [reading, transaction])
def test_the_timeouts_are_in_force_and_are_left_to_no_other_client(
    app: Flask, connect: Callable[[], Any], postgresql: PostgreSQL
) -> None:
    with app.app_context():
        for _ in range(ROUNDS):
            with connect() as connection:
                for name, value in TIMEOUTS.items():
                    assert connection.scalar(text(f"SHOW {name}")) == value
        # Without the statements that go before each transaction, what a session has is seen.
        with reading() as connection:
            driver: Any = connection.connection.dbapi_connection
            for _ in range(ROUNDS):
                with driver.cursor() as cursor:
                    cursor.execute("SHOW lock_timeout")
                    assert cursor.fetchone() == ("0",)


def test_rows_are_streamed(app: Flask) -> None:
    query = text("SELECT n FROM generate_series(1, 5000) AS n")
    with app.app_context(), transaction() as session:
        rows = session.execute(query, execution_options={"yield_per": 1000})
        assert sum(row.n for row in rows) == 5000 * 5001 // 2
        assert session.scalar(text("SHOW lock_timeout")) == "2s"


def test_nothing_is_prepared(app: Flask) -> None:
    alice = register_caller(app, "alice")
    with app.app_context(), executed(db.engine) as sent:
        alice.get("/api/v1/users/me")
    assert any("FROM sessions JOIN users" in statement for statement, _ in sent)
    assert not [text for text, _ in sent if "PREPARE" in text or "EXECUTE" in text]


def test_a_database_is_migrated_through_it(
    pooler: Callable[[str], str], postgresql: PostgreSQL, tmp_path: Path
) -> None:
    name = f"empty_{tmp_path.name}".replace("-", "_").lower()[:60]
    postgresql.create(name)
    try:
        migrate(parser_of(Path("/"))(pooler(name)), tmp_path)
    finally:
        postgresql.drop(name)


def test_doctor_finds_the_timeouts_in_force(app: Flask) -> None:
    output = app.test_cli_runner().invoke(args=["doctor"]).output
    assert "ok       timeouts: " in output


def test_without_the_parameter_the_pooler_refuses_and_names_the_cause(
    pooled_url: str, tmp_path: Path
) -> None:
    url = pooled_url.replace("&pgbouncer=true", "").replace("pgbouncer=true&", "")
    app = create_app(make_settings(url, tmp_path))
    with app.app_context():
        with pytest.raises(OperationalError, match="unsupported startup parameter"):
            db.session.execute(text("SELECT 1"))
        db.session.remove()
        db.engine.dispose()
    output = app.test_cli_runner().invoke(args=["doctor"]).output
    assert "pgbouncer=true" in output
