"""The check that the database has the tables that this release needs."""

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import text

from authserve.app import create_app
from authserve.database.readiness import (
    current_revision,
    expected_revision,
    is_migrated,
    is_of_newer_release,
)
from authserve.database.transactions import db, transaction
from tests.conftest import make_settings
from tests.support.marks import both_databases, on_postgresql, on_sqlite

pytestmark = both_databases


def test_an_empty_database_is_not_migrated(empty: Flask) -> None:
    assert current_revision() is None
    assert not is_migrated()


def test_a_migrated_database_is(empty: Flask) -> None:
    upgrade()
    assert current_revision() == expected_revision()
    assert is_migrated()


def test_a_database_of_an_older_release_is_not(empty: Flask) -> None:
    upgrade()
    downgrade()
    assert not is_migrated()
    assert not is_of_newer_release(current_revision())


@pytest.fixture
def newer(context: None) -> None:
    """A database that a release after this one has migrated."""
    with transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))


@pytest.mark.usefixtures("newer")
def test_a_database_of_a_newer_release_is() -> None:
    assert current_revision() == "9999"
    assert is_of_newer_release("9999")
    assert is_migrated()


@pytest.mark.usefixtures("newer")
def test_an_older_release_leaves_alone_what_a_newer_one_made(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A release is rolled back, and its platform runs `flask db upgrade` again."""
    upgrade()
    assert caplog.messages[-1] == "a newer release migrated the database; nothing to do"
    assert current_revision() == "9999"


@pytest.mark.usefixtures("newer")
@pytest.mark.parametrize("move", [downgrade, lambda: upgrade(revision="0001")])
def test_no_command_moves_from_an_unknown_revision(move: Callable[[], None]) -> None:
    with pytest.raises(SystemExit):
        move()
    assert current_revision() == "9999"


@on_sqlite
@pytest.mark.usefixtures("context")
def test_no_dangerous_sql_is_printed(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        upgrade(sql=True)
    assert "there is no SQL to print" in caplog.text
    assert "CREATE TABLE" not in capsys.readouterr().out


def test_no_revision_is_no_newer_one() -> None:
    assert not is_of_newer_release(None)
    assert not is_of_newer_release("0001")


def test_a_database_that_is_away_is_reported_in_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = "postgresql+psycopg2://user:a-password@127.0.0.1:1/nothing"
    with create_app(make_settings(url, tmp_path)).app_context(), pytest.raises(SystemExit) as ended:
        upgrade()
    assert ended.value.code == 1
    assert caplog.messages[-1].startswith("Error: The database does not serve (connection to")
    assert "a-password" not in caplog.text


@on_postgresql
def test_a_database_that_is_read_only_is_one_line(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    with app.app_context():
        downgrade(revision="base")
        with db.engine.begin() as connection:
            connection.execute(text("SET default_transaction_read_only = on"))
        with pytest.raises(SystemExit) as ended:
            upgrade()
        db.engine.dispose()
    assert ended.value.code == 1
    assert "read-only transaction" in caplog.messages[-1]
    assert caplog.messages[-1].startswith("Error: The database does not serve (cannot execute")
