"""A PostgreSQL of a test's own, to stop, crash and freeze."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from uuid import uuid4

import psutil
import psycopg2

from tests.conftest import PostgreSQL
from tests.support.outages import away, frozen, suspended


class MortalPostgreSQL(PostgreSQL):
    """A server of one test, which restarts at the same address."""

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
        connection = psycopg2.connect(self.server.get_uri())
        with closing(connection), connection.cursor() as cursor:
            cursor.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'authserve'")
            processes = [psutil.Process(pid) for (pid,) in cursor.fetchall()]
        with suspended(processes):
            yield
