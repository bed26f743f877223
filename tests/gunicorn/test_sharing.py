"""Workers of a real server share connections, but wait for none that does not answer."""

import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from tests.support.server import Server
from tests.support.wire import Connection, Connections

pytestmark = pytest.mark.gunicorn

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

CLIENTS = 20


@pytest.fixture
def connections(server: Server) -> Iterator[Connections]:
    with Connections(server) as opened:
        yield opened


def connect(connections: Connections) -> Connection:
    """A connection that has been answered once, and is kept."""
    connection = connections.open(GET)
    assert connection.answer().status == 200
    return connection


def kept_by(pid: int) -> int:
    """Return the number of a worker's connections."""
    found = psutil.Process(pid).net_connections(kind="tcp")
    return len([each for each in found if each.status == psutil.CONN_ESTABLISHED])


def test_a_worker_that_hangs_is_not_waited_for(server: Server, connections: Connections) -> None:
    hanging, *others = server.workers()
    os.kill(hanging, signal.SIGSTOP)
    try:
        for _ in range(CLIENTS):
            connect(connections)
        assert sum(kept_by(pid) for pid in others) >= CLIENTS
    finally:
        os.kill(hanging, signal.SIGCONT)
    # It has fewest now.
    while kept_by(hanging) < CLIENTS // 2:
        connect(connections)
