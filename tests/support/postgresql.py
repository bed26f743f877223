"""A PostgreSQL of a test's own, to stop, crash and freeze."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from uuid import uuid4

import psutil
import psycopg2

from tests.conftest import PostgreSQL


class MortalPostgreSQL(PostgreSQL):
    """A server that nobody else uses; it comes back at the same place."""

    def fresh(self) -> str:
        """Make a migrated database; returns its URL."""
        return self.create(f"test_{uuid4().hex}", template="template")

    def stop(self) -> None:
        """Stop it as an administrator does: connections are ended, commits are on disk."""
        self.server.stop()

    def crash(self) -> None:
        """Kill all of its processes at once; it recovers at its next start."""
        processes = self._processes()
        for process in processes:
            process.kill()
        psutil.wait_procs(processes)

    def start(self) -> None:
        """Start it again, unless it runs; back when it takes connections."""
        self.server.start()

    @contextmanager
    def away(self, *, crashed: bool = False) -> Iterator[None]:
        """It is stopped in the block."""
        if crashed:
            self.crash()
        else:
            self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """None of its processes runs in the block, while the kernel goes on acknowledging."""
        with _suspended(self._processes()):
            yield

    @contextmanager
    def backends_frozen(self) -> Iterator[None]:
        """In the block no connection that is open is answered; new ones are."""
        connection = psycopg2.connect(self.server.get_uri())
        with closing(connection), connection.cursor() as cursor:
            cursor.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'authserve'")
            processes = [psutil.Process(pid) for (pid,) in cursor.fetchall()]
        with _suspended(processes):
            yield

    def _processes(self) -> list[psutil.Process]:
        """All of them, the one that makes others first."""
        pid = self.server.get_pid()
        assert pid is not None
        postmaster = psutil.Process(pid)
        return [postmaster, *postmaster.children(recursive=True)]


@contextmanager
def _suspended(processes: list[psutil.Process]) -> Iterator[None]:
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()
