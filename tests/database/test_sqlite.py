"""The file of a SQLite database, and the turn of a connection to write to it."""

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from authserve.database import sqlite
from authserve.database.engine import engine_options
from authserve.database.sqlite import QueuedConnection
from authserve.database.transactions import (
    autocommit_view,
    db,
    reading,
    write_repeatably,
    writing,
)

INSERT = "INSERT INTO numbers VALUES (1)"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine on a new file that has one table."""
    url = f"sqlite:///{tmp_path / 'new.db'}"
    engine = create_engine(url, **engine_options(url, pool_size=2))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE numbers (n INTEGER)")
    yield engine
    engine.dispose()


def queue_of(engine: Engine) -> Any:
    """Return the queue that the connections of an engine share."""
    with engine.connect() as connection:
        driver = connection.connection.dbapi_connection
    assert isinstance(driver, QueuedConnection)
    return driver._queue


@pytest.mark.parametrize("end", ["commit", "rollback", "close", "invalidate"])
def test_a_turn_ends_with_its_transaction(engine: Engine, end: str) -> None:
    queue = queue_of(engine)
    connection = engine.connect()
    connection.exec_driver_sql(INSERT)
    assert queue.locked()
    getattr(connection, end)()
    assert not queue.locked()
    connection.close()


def test_writers_of_a_process_wait_for_each_other(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "QUEUE_SECS", 0)
    queue = queue_of(engine)
    with engine.begin() as first:
        first.exec_driver_sql(INSERT)
        with engine.connect() as second:
            driver: Any = second.connection.dbapi_connection
            driver.await_turn()
            second.rollback()
        assert queue.locked()
    assert not queue.locked()


def test_a_writer_that_waited_in_vain_asks_sqlite(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "QUEUE_SECS", 0)
    queue = queue_of(engine)
    with queue:
        with engine.begin() as connection:
            connection.exec_driver_sql(INSERT)
        assert queue.locked()


def test_a_turn_ends_if_another_program_has_the_file(engine: Engine) -> None:
    program = sqlite3.connect(str(engine.url.database), isolation_level=None)
    program.execute("BEGIN IMMEDIATE")
    with engine.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        driver.execute("PRAGMA busy_timeout = 0")
        with pytest.raises(OperationalError, match="locked"):
            connection.exec_driver_sql(INSERT)
    assert not driver._queue.locked()
    program.close()


@pytest.mark.usefixtures("context")
def test_a_single_write_has_a_turn_and_a_read_has_none() -> None:
    queue = queue_of(db.engine)
    with reading():
        assert not queue.locked()
    with writing():
        assert queue.locked()
    assert not queue.locked()


@pytest.mark.usefixtures("context")
def test_a_repeatable_write_has_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[bool] = []
    queue = queue_of(db.engine)
    monkeypatch.setattr(
        "authserve.database.transactions._fetch", lambda *_: turns.append(queue.locked())
    )
    with suppress(TypeError):
        write_repeatably(text("SELECT 1"), {})  # type: ignore[arg-type]
    assert turns == [True]
    assert not queue.locked()


# The file


@pytest.mark.parametrize("umask", [0o022, 0o000])
def test_a_new_file_is_for_its_owner_alone(tmp_path: Path, umask: int) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    engine = create_engine(url, **engine_options(url, pool_size=1))
    former = os.umask(umask)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("CREATE TABLE first (id INTEGER)")
            connection.commit()
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(former)
        engine.dispose()
    assert modes == {"new.db": 0o600, "new.db-wal": 0o600, "new.db-shm": 0o600}


def test_a_file_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    path.touch(mode=0o640)
    path.chmod(0o640)
    url = f"sqlite:///{path}"
    engine = create_engine(url, **engine_options(url, pool_size=1))
    engine.connect().close()
    engine.dispose()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def lock_new_file(path: Path) -> sqlite3.Connection:
    """Make a SQLite file that is not in WAL yet, and return the connection that writes to it."""
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("CREATE TABLE first (id INTEGER)")
    writer.execute("BEGIN IMMEDIATE")
    return writer


def test_the_switch_of_a_new_file_to_wal_waits_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new.db"
    writer = lock_new_file(path)
    pauses: list[float] = []

    def finish_writing(seconds: float) -> None:
        pauses.append(seconds)
        writer.execute("COMMIT")
        writer.close()

    # Not `time.sleep` itself: the watchdog of earlier tests sleeps, too.
    stand_in = SimpleNamespace(monotonic=time.monotonic, sleep=finish_writing)
    monkeypatch.setattr(sqlite, "time", stand_in)
    url = f"sqlite:///{path}"
    engine = create_engine(url, **engine_options(url, pool_size=1))
    with autocommit_view(engine).connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    engine.dispose()
    assert len(pauses) == 1


def test_the_switch_to_wal_does_not_wait_for_a_file_that_is_no_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "new.db").mkdir()
    # Not `time.sleep` itself: the watchdog of earlier tests sleeps, too.
    monkeypatch.setattr(sqlite, "time", SimpleNamespace(monotonic=time.monotonic))
    url = f"sqlite:///{tmp_path / 'new.db'}"
    engine = create_engine(url, **engine_options(url, pool_size=1))
    with pytest.raises(OperationalError, match="unable to open"):
        engine.connect()
    engine.dispose()


def test_the_switch_to_wal_does_not_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new.db"
    writer = lock_new_file(path)
    monkeypatch.setattr(sqlite, "LOCK_TIMEOUT_SECS", 0)
    url = f"sqlite:///{path}"
    engine = create_engine(url, **engine_options(url, pool_size=1))
    with pytest.raises(OperationalError, match="locked"):
        engine.connect()
    engine.dispose()
    writer.close()
