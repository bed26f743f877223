"""Fixtures of tests that break something: a database server that may be broken, and a service."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import make_settings, memory_folder
from tests.support.postgresql import MortalPostgreSQL, running_postgresql
from tests.support.server import Server
from tests.support.traffic import TRUSTING


@pytest.fixture(scope="module")
def mortal(postgresql_files: Path) -> Iterator[MortalPostgreSQL]:
    """A PostgreSQL that the tests of a module may break; each test starts with it intact."""
    with running_postgresql(memory_folder(), postgresql_files) as server:
        yield MortalPostgreSQL(server)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start real gunicorns of two workers on a database; none may lose a worker, and all end well.

    That holds for every fault of the database.
    """
    servers: list[tuple[Server, list[int]]] = []
    with ExitStack() as stops:

        def make(database_url: str, **environ: str) -> Server:
            settings = make_settings(database_url, tmp_path)
            environ = {"WEB_CONCURRENCY": "2", **TRUSTING, **environ}
            server = Server(settings, tmp_path / f"server{len(servers)}", environ)
            stops.callback(server.stop)
            server.wait_until_healthy()
            servers.append((server, server.workers()))
            return server

        yield make
        for server, workers in servers:
            assert server.workers() == workers, server.output()
    for server, _ in servers:
        assert server.process.returncode == 0, server.output()
        assert "WORKER TIMEOUT" not in server.output()
