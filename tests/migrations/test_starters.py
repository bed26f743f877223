"""`flask db upgrade` as a platform runs it: a process of its own, often several at once."""

import json
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
from sqlalchemy import create_engine, make_url, text

import authserve.apikeys.models
import authserve.clients.models
import authserve.federation.models
import authserve.oidc.models  # noqa: F401 - so that tables of optional features are there
from authserve.database.engine import engine_options
from authserve.database.readiness import expected_revision
from authserve.database.statements import Base
from tests.support import processes
from tests.support.crowd import DEADLINE_SECS
from tests.support.marks import both_databases
from tests.support.processes import Process
from tests.support.schema import VERSION_TABLE, describe_tables

pytestmark = both_databases

STARTERS = 3

HasArrived = Callable[[int], bool]
"""True once the process with this id has reached the lock."""


@dataclass(frozen=True)
class End:
    """The end of a command: status, standard output, events logged to standard error."""

    status: int
    out: str
    events: list[str]

    @property
    def steps(self) -> list[str]:
        """The migrations that it ran."""
        return [event for event in self.events if event.startswith("Running upgrade")]


@dataclass
class Starter:
    """A process that runs `flask db upgrade`."""

    process: Process
    out: Path
    err: Path

    def finish(self) -> End:
        """Wait for its end."""
        status = self.process.wait(DEADLINE_SECS)
        events = [json.loads(line)["event"] for line in self.err.read_text().splitlines()]
        return End(status, self.out.read_text(), events)


@pytest.fixture
def start(project: Path, environ: dict[str, str]) -> Iterator[Callable[[], Starter]]:
    """Start `flask db upgrade` in a process of its own."""
    numbers = count()
    starters: list[Starter] = []

    def start() -> Starter:
        out, err = (project / f"{next(numbers)}.{suffix}" for suffix in ("out", "err"))
        process = processes.start(
            "flask", "db", "upgrade", folder=project, environ=environ, out=out, err=err
        )
        starters.append(Starter(process, out, err))
        return starters[-1]

    yield start
    for starter in starters:
        starter.process.kill()


def wait_for(pid: int, has_arrived: HasArrived) -> None:
    give_up = time.monotonic() + DEADLINE_SECS
    while not has_arrived(pid):
        assert time.monotonic() < give_up
        time.sleep(0.02)


@contextmanager
def migration_under_way_on_sqlite(url: str) -> Iterator[HasArrived]:
    """Hold the lock of migrations; yield a check for a process that has reached it."""
    path = make_url(url).database
    assert path is not None
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA journal_mode = WAL")
    holder.execute("BEGIN IMMEDIATE")

    def has_arrived(pid: int) -> bool:
        return any(file.path == path for file in psutil.Process(pid).open_files())

    yield has_arrived
    holder.execute("ROLLBACK")
    holder.close()


@contextmanager
def migration_under_way_on_postgresql(url: str) -> Iterator[HasArrived]:
    holder = psycopg2.connect(url.replace("+psycopg2", ""))
    holder.autocommit = True
    cursor = holder.cursor()
    # "auth" in ASCII; a release that took another lock would run beside this one.
    cursor.execute("SELECT pg_advisory_lock(1635087464)")
    count = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    arrived: set[int] = set()

    def has_arrived(pid: int) -> bool:
        # The server counts the waiting processes and does not name them.
        cursor.execute(count)
        arrived.add(pid)
        return bool(cursor.fetchone()[0] >= len(arrived))

    yield has_arrived
    holder.close()


def migration_under_way(url: str) -> AbstractContextManager[HasArrived]:
    if url.startswith("sqlite"):
        return migration_under_way_on_sqlite(url)
    return migration_under_way_on_postgresql(url)


def look_at(url: str) -> tuple[dict[str, Any], list[str]]:
    """Return the tables, and the revisions that the database is at."""
    engine = create_engine(url, **engine_options(url, pool_size=1))
    with engine.connect() as connection:
        tables = describe_tables(connection)
        revisions: list[str] = []
        if tables:
            query = text(f"SELECT version_num FROM {VERSION_TABLE}")
            revisions = [str(revision) for revision in connection.scalars(query)]
    engine.dispose()
    return tables, revisions


def test_starters_at_once_make_one_schema(
    empty_database_url: str, start: Callable[[], Starter]
) -> None:
    with migration_under_way(empty_database_url) as has_arrived:
        starters = [start() for _ in range(STARTERS + 1)]
        for starter in starters:
            wait_for(starter.process.pid, has_arrived)
        assert all(starter.process.poll() is None for starter in starters), "all of them wait"
        starters[-1].process.kill()
    *ends, killed = (starter.finish() for starter in starters)

    assert killed.status == -signal.SIGKILL
    assert [(end.status, end.out) for end in ends] == [(0, "")] * STARTERS
    *others, steps = sorted((end.steps for end in ends), key=len)
    assert others == [[]] * (STARTERS - 1), "one of them did it all"
    assert steps[0].startswith("Running upgrade  -> 0001, The first tables")
    tables, revisions = look_at(empty_database_url)
    assert set(tables) == set(Base.metadata.tables)
    assert revisions == [expected_revision()]

    second = start().finish()
    assert (second.status, second.out, second.steps) == (0, "", [])
    assert look_at(empty_database_url) == (tables, revisions)
