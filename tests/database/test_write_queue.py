"""The turn of a SQLite connection to write: when it begins, and that it always ends."""

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from authserve.database import write_queue
from authserve.database.engine import engine_options
from authserve.database.transactions import (
    db,
    reading,
    write_repeatably,
    writing,
)
from authserve.database.write_queue import QueuedConnection

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
    monkeypatch.setattr(write_queue, "QUEUE_SECS", 0)
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
    monkeypatch.setattr(write_queue, "QUEUE_SECS", 0)
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
