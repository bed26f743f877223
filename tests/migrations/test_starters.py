"""`flask db upgrade` as a platform runs it: a process of its own, often several at once."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
from sqlalchemy import create_engine, make_url, text

from authserve.database.engine import engine_options
from authserve.database.readiness import expected_revision
from authserve.database.transactions import Base
from tests.support.crowd import DEADLINE_SECS
from tests.support.marks import both_databases
from tests.support.schema import VERSION_TABLE, describe_tables

pytestmark = both_databases

STARTERS = 5

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
class Starters:
    """Several processes that run one `flask` command on one database."""

    process: subprocess.Popen[str]
    folder: Path
    pids: list[int]

    def finish(self) -> list[End]:
        """Wait for all of them."""
        out, err = self.process.communicate(timeout=DEADLINE_SECS)
        assert err == ""
        return [self._end(number, int(status)) for number, status in enumerate(out.split())]

    def _end(self, number: int, status: int) -> End:
        out = (self.folder / f"{number}.out").read_text()
        lines = (self.folder / f"{number}.err").read_text().splitlines()
        return End(status, out, [json.loads(line)["event"] for line in lines])


@pytest.fixture
def upgraders(project: Path, environ: dict[str, str]) -> Iterator[Starters]:
    """Processes that begin with `flask db upgrade` together."""
    module = [sys.executable, "-m", "tests.support.starters"]
    process = subprocess.Popen(
        [*module, str(STARTERS + 1), str(project), "db", "upgrade"],
        cwd=project,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    pids = [int(pid) for pid in process.stdout.readline().split()]
    yield Starters(process, project, pids)
    with suppress(ProcessLookupError):
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    process.kill()
    process.communicate()


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
    empty_database_url: str, environ: dict[str, str], project: Path, request: pytest.FixtureRequest
) -> None:
    with migration_under_way(empty_database_url) as has_arrived:
        upgraders: Starters = request.getfixturevalue("upgraders")
        for pid in upgraders.pids:
            wait_for(pid, has_arrived)
        assert all(psutil.pid_exists(pid) for pid in upgraders.pids), "all of them wait"
        os.kill(upgraders.pids[-1], signal.SIGKILL)
    *ends, killed = upgraders.finish()

    assert killed.status == -signal.SIGKILL
    assert [(end.status, end.out) for end in ends] == [(0, "")] * STARTERS
    *others, steps = sorted((end.steps for end in ends), key=len)
    assert others == [[]] * (STARTERS - 1), "one of them did it all"
    assert steps[0].startswith("Running upgrade  -> 0001, The first tables")
    tables, revisions = look_at(empty_database_url)
    assert set(tables) == set(Base.metadata.tables)
    assert revisions == [expected_revision()]

    command = [sys.executable, "-m", "flask", "db", "upgrade"]
    second = subprocess.run(
        command, cwd=project, env=environ, capture_output=True, text=True, check=True
    )
    assert "Running upgrade" not in second.stderr
    assert second.stdout == ""
    assert look_at(empty_database_url) == (tables, revisions)
