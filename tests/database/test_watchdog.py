"""Statements that a frozen server would keep for ever, and those that only take their time."""

import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError

from authserve.core.breakers import BREAKERS
from authserve.database import watchdog
from authserve.database.transactions import db, read_all, reading, transaction
from authserve.database.watchdog import ServerFrozenError
from config import ROOT
from tests.conftest import PostgreSQL, libpq_url, migrate
from tests.support.crowd import DEADLINE_SECS
from tests.support.marks import on_postgresql

pytestmark = [on_postgresql, pytest.mark.fault]

BACKEND = text("SELECT pg_backend_pid()")


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Nothing runs in the process, but its kernel still acknowledges what is sent to it."""
    process = psutil.Process(pid)
    process.suspend()
    try:
        yield
    finally:
        process.resume()


@pytest.fixture
def soon(context: None) -> None:
    """The one pooled connection is cut sooner."""
    with reading() as connection:
        driver: Any = connection.connection.dbapi_connection
        driver.limit_secs = 1.0


def backend() -> int:
    with reading() as connection:
        pid: int = connection.scalar(BACKEND)
        return pid


def read() -> None:
    with reading() as connection, frozen(connection.scalar(BACKEND)):
        connection.scalar(BACKEND)


def write() -> None:
    with transaction() as session, frozen(session.scalar(BACKEND)):
        session.execute(text("UPDATE users SET display_name = ''"))


def commit() -> None:
    with transaction() as session, frozen(session.scalar(BACKEND)):
        session.commit()


def roll_back() -> None:
    with transaction() as session, frozen(session.scalar(BACKEND)):
        session.rollback()


def write_many() -> None:
    with transaction() as session, frozen(session.scalar(BACKEND)):
        driver: Any = session.connection().connection.dbapi_connection
        with driver.cursor() as cursor:
            cursor.executemany("SELECT %s", [(1,), (2,)])


@pytest.mark.usefixtures("context", "soon")
@pytest.mark.parametrize("use", [read, write, commit, roll_back, write_many])
def test_every_wait_for_a_frozen_server_is_cut(use: Callable[[], None]) -> None:
    with pytest.raises((OperationalError, ServerFrozenError)) as caught:
        use()
    assert isinstance(getattr(caught.value, "orig", caught.value), ServerFrozenError)


@pytest.mark.usefixtures("soon")
def test_a_frozen_server_is_not_asked_again(make_app: Callable[..., Flask]) -> None:
    """A lost connection is worth another try; here the caller has waited already."""
    with make_app(database_pool_size=1).app_context():
        frozen_one = backend()
        with frozen(frozen_one), pytest.raises(OperationalError) as caught:
            read_all(select(func.pg_backend_pid()))
        assert isinstance(caught.value.orig, ServerFrozenError)
        (breaker,) = [breaker for breaker in BREAKERS.get() if breaker.name == "database"]
        assert breaker.state == "open"
        give_up = time.monotonic() + DEADLINE_SECS
        while not breaker.is_closed:
            assert time.monotonic() < give_up
            time.sleep(0.05)
        assert backend() != frozen_one


@pytest.mark.usefixtures("context")
def test_a_statement_without_a_limit_may_take_its_time() -> None:
    """A migration does so, and lifts the server's own limit as well."""
    with transaction() as session:
        driver: Any = session.connection().connection.dbapi_connection
        driver.is_limited = False
        driver.limit_secs = 1.0
        assert session.scalar(text("SELECT 'done' FROM pg_sleep(1.5)")) == "done"


@pytest.mark.usefixtures("context")
def test_a_transaction_that_waits_for_nothing_is_left_alone() -> None:
    with transaction() as session:
        pid = session.scalar(BACKEND)
        driver: Any = session.connection().connection.dbapi_connection
        driver.limit_secs = 1.0
        time.sleep(1.5)
        # The machine may be too busy for an answer within this second.
        driver.limit_secs = watchdog.STATEMENT_LIMIT_SECS
        assert session.scalar(BACKEND) == pid


@pytest.mark.usefixtures("context")
def test_it_leaves_no_descriptor_behind() -> None:
    backend()
    db.engine.dispose()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        backend()
        db.engine.dispose()
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.usefixtures("context")
def test_a_connection_that_ended_at_rest_is_replaced_before_a_transaction(
    postgresql: PostgreSQL,
) -> None:
    ended = backend()
    postgresql.execute(f"SELECT pg_terminate_backend({ended}, 60000)")
    time.sleep(watchdog._REST_SECS)
    with transaction() as session:
        assert session.scalar(BACKEND) != ended


@pytest.mark.usefixtures("context")
def test_a_connection_at_rest_is_kept() -> None:
    kept = backend()
    time.sleep(watchdog._REST_SECS)
    with transaction() as session:
        assert session.scalar(BACKEND) == kept


@pytest.mark.usefixtures("soon")
def test_a_migration_that_waits_for_its_turn_is_left_alone(
    database_url: str, tmp_path: Path
) -> None:
    found = re.search(r"^ADVISORY_LOCK = (\w+)", (ROOT / "migrations/env.py").read_text(), re.M)
    assert found is not None
    with closing(psycopg2.connect(libpq_url(database_url))) as other:
        other.cursor().execute("SELECT pg_advisory_xact_lock(%s)", [int(found[1], 0)])
        with ThreadPoolExecutor() as threads:
            waiting = threads.submit(migrate, database_url, tmp_path)
            time.sleep(2)
            assert not waiting.done()
            other.rollback()
            waiting.result()
