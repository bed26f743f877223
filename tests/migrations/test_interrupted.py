"""`flask db upgrade` that is killed half way, or kept from a table, and run again."""

import shutil
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psycopg2
import pytest
from flask_migrate import upgrade
from sqlalchemy import Connection, event

from authserve.app import create_app
from authserve.database.readiness import expected_revision
from authserve.database.transactions import db
from tests.conftest import make_settings
from tests.migrations.test_starters import look_at
from tests.support import processes
from tests.support.faults import rounds
from tests.support.marks import both_databases, on_postgresql

pytestmark = [both_databases, pytest.mark.fault]

Flask = Callable[..., subprocess.CompletedProcess[str]]

ROUNDS = rounds(0, at_most=16)


@pytest.fixture
def flask(project: Path, environ: dict[str, str]) -> Flask:
    """Run a module in a process of its own."""
    return partial(processes.run, folder=project, environ=environ)


def reference(request: pytest.FixtureRequest, url: str, folder: Path) -> str:
    """A database of the same kind that was migrated without an interruption."""
    if url.startswith("sqlite"):
        path = folder / "reference.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"
    return str(request.getfixturevalue("postgresql").url("template"))


def bring_to(url: str, revision: str, folder: Path) -> None:
    app = create_app(make_settings(url, folder))
    with app.app_context():
        upgrade(revision=revision)
        db.engine.dispose()


EXCLUSIVELY_LOCKED = """
    SELECT relation::regclass::text FROM pg_locks
    WHERE pid = pg_backend_pid() AND mode = 'AccessExclusiveLock'
      AND relation IN ('sessions'::regclass, 'users'::regclass)
"""

STATEMENTS = {None: (12, 40), "0002": (16,)}
"""The statements at which the process dies on the way from a revision."""


@pytest.mark.parametrize("revision", [None, "0002"])
def test_one_that_is_killed_leaves_nothing_and_the_next_does_it_all(
    empty_database_url: str,
    flask: Flask,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    revision: str | None,
) -> None:
    if revision is not None:
        bring_to(empty_database_url, revision, tmp_path)
    before = look_at(empty_database_url)
    for number in range(1, ROUNDS + 1) if ROUNDS else STATEMENTS[revision]:
        done = flask("tests.support.dying_starter", str(number), "db", "upgrade")
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert look_at(empty_database_url) == before

    done = flask("flask", "db", "upgrade")
    assert done.returncode == 0, done.stderr
    tables, revisions = look_at(empty_database_url)
    assert revisions == [expected_revision()]
    assert tables == look_at(reference(request, empty_database_url, tmp_path))[0]


@on_postgresql
def test_it_locks_sessions_no_later_than_users(empty_database_url: str, tmp_path: Path) -> None:
    """Requests read sessions first, so the other order would deadlock with them."""
    bring_to(empty_database_url, "0006", tmp_path)
    locked: list[set[str]] = []

    def note(connection: Connection, *_: object) -> None:
        cursor = connection.connection.cursor()
        cursor.execute(EXCLUSIVELY_LOCKED)
        locked.append({name for (name,) in cursor.fetchall()})

    app = create_app(make_settings(empty_database_url, tmp_path))
    with app.app_context():
        event.listen(db.engine, "after_cursor_execute", note)
        upgrade()
        db.engine.dispose()
    assert {"sessions", "users"} in locked
    assert {"users"} not in locked


@on_postgresql
def test_one_that_finds_a_table_in_use_gives_up_soon_and_reports_it(
    empty_database_url: str, flask: Flask, tmp_path: Path
) -> None:
    """Behind a migration that waits for its lock, every request for the table would wait too."""
    bring_to(empty_database_url, "0004", tmp_path)
    before = look_at(empty_database_url)
    reader = psycopg2.connect(empty_database_url.replace("+psycopg2", ""))
    reader.cursor().execute("SELECT count(*) FROM users")
    refused = flask("flask", "db", "upgrade")
    assert refused.returncode == 1
    assert "canceling statement due to lock timeout" in refused.stderr
    assert look_at(empty_database_url) == before
    reader.close()
    assert flask("flask", "db", "upgrade").returncode == 0
    assert look_at(empty_database_url)[1] == [expected_revision()]
