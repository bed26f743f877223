"""Two servers on one database, each replaced in its turn; no client behind the proxy notices."""

import signal
from collections.abc import Callable

import pytest

from tests.support.faults import rounds
from tests.support.marks import on_postgresql
from tests.support.proxy import Backend, proxy_before
from tests.support.server import Server
from tests.support.traffic import TRUSTING, TrafficCount, traffic_to
from tests.support.worker import wait_until

pytestmark = [pytest.mark.gunicorn, pytest.mark.fault, on_postgresql]

ROUNDS = rounds(1, at_most=10)


def begin_drain(server: Server, backend: Backend) -> None:
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: not backend.is_ready)


def restart(server: Server, backend: Backend, traffic: TrafficCount) -> None:
    """Replace one server as a platform does.

    The drain lasts until the proxy has seen it and more requests have been served: on a busy
    machine no number of seconds would be sure to suffice.
    """
    begin_drain(server, backend)
    before = traffic.answers
    wait_until(lambda: traffic.answers > before + 20 or traffic.failures)
    # The first began the drain, this one ends it.
    server.restart()
    wait_until(lambda: backend.is_ready)
    served = backend.served
    wait_until(lambda: backend.served > served + 10 or traffic.failures)


def test_a_rolling_restart_under_load_costs_no_request(
    make_server: Callable[..., Server],
) -> None:
    environ = {**TRUSTING, "DRAIN_SECONDS": "300", "WEB_CONCURRENCY": "2"}
    servers = [make_server(**environ) for _ in range(2)]
    with proxy_before(*(server.url for server in servers)) as proxy:
        wait_until(lambda: all(backend.is_ready for backend in proxy.backends))
        with traffic_to(lambda: proxy.url) as traffic:
            wait_until(lambda: traffic.answers > 20 or traffic.failures)
            for _ in range(ROUNDS):
                for server, backend in zip(servers, proxy.backends, strict=True):
                    restart(server, backend, traffic)
        for server, backend in zip(servers, proxy.backends, strict=True):
            begin_drain(server, backend)
    assert traffic.failures == []
