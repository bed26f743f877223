"""Metrics of a real server: all workers summed, also after one has ended."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from authserve.metrics.files import ENDED
from tests.gunicorn.conftest import running_site
from tests.support.crowd import all_at_once
from tests.support.metrics import METRICS_TOKEN, Scrape, scrape
from tests.support.server import WORKERS, Client, Server
from tests.support.worker import wait_until

pytestmark = pytest.mark.gunicorn

HEALTHZ = "/healthz"
REQUESTS = "authserve_http_requests_total"
WORKERS_METRIC = "authserve_workers"
FOLDERS = "authserve-metrics-*"


@pytest.fixture(scope="module")
def counting_server(
    request: pytest.FixtureRequest, database_kind: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A counting server, after all its workers have reported; tests share it."""
    folder, environ = tmp_path_factory.mktemp("counting"), {"METRICS_TOKEN": METRICS_TOKEN}
    with running_site(request, database_kind, folder, environ) as site:
        wait_for_workers(site.server)
        yield site.server


def wait_for_workers(server: Server) -> None:
    client = server.client()
    wait_until(lambda: scrape(client).value(WORKERS_METRIC) == WORKERS, what="all are there")


def wait_for_others(server: Server, old: list[int]) -> None:
    """Wait until all workers are new ones and have reported."""

    def are_new() -> bool:
        return len(server.workers()) == WORKERS and not set(old) & set(server.workers())

    wait_until(are_new)
    wait_for_workers(server)


def folder_of(server: Server) -> Path:
    """Return the folder of the workers' counters."""
    mapped = (Path(part.path) for part in psutil.Process(server.process.pid).memory_maps())
    (folder,) = {path.parent for path in mapped if path.parent.match(FOLDERS)}
    return folder


def health_checks(found: Scrape) -> float:
    return found.value(REQUESTS, method="GET", route=HEALTHZ, status="200")


def ask(client: Client, times: int = 1) -> None:
    for _ in range(times):
        assert client.get(HEALTHZ).status_code == 200


def test_the_counts_of_all_workers_are_summed(counting_server: Server) -> None:
    server, client = counting_server, counting_server.client()
    before = health_checks(scrape(client))
    all_at_once([lambda: ask(server.client(), 10)] * 12)
    found = scrape(client)
    assert health_checks(found) == before + 120
    duration = "authserve_http_request_duration_seconds"
    of_it = {"method": "GET", "route": HEALTHZ}
    assert found.value(f"{duration}_count", **of_it) == before + 120
    assert found.value(f"{duration}_bucket", **of_it, le="+Inf") == before + 120
    # Each has a file of its own, and so has the master.
    for process in (server.process.pid, *server.workers()):
        assert (folder_of(server) / f"counter_{process}.db").exists()
    assert found.value("authserve_database_connections_limit") == 8 * WORKERS


def test_a_killed_worker_takes_no_count_along_and_leaves_no_gauge(counting_server: Server) -> None:
    server, client = counting_server, counting_server.client()
    ask(client, 30)
    before = scrape(client)
    folder, victims = folder_of(server), server.workers()
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    wait_for_others(server, victims)
    found = scrape(client)
    assert health_checks(found) == health_checks(before)
    for name in (WORKERS_METRIC, "authserve_database_connections_limit"):
        assert found.value(name) == before.value(name)
    assert (folder / f"counter_{ENDED}.db").exists()
    assert not [path for pid in victims for path in folder.glob(f"*_{pid}.db")]


def test_counts_never_shrink_while_workers_are_replaced_under_traffic(
    counting_server: Server,
) -> None:
    server, is_over = counting_server, threading.Event()
    start = health_checks(scrape(server.client()))

    def keep_asking() -> int:
        client, asked = server.client(), 0
        while not is_over.is_set():
            ask(client)
            asked += 1
        return asked

    def watch() -> int:
        client, last = server.client(), 0.0
        while not is_over.is_set():
            present = health_checks(scrape(client))
            assert present >= last
            last = present
        return 0

    def reload_twice() -> int:
        try:
            for _ in range(2):
                old = server.workers()
                server.process.send_signal(signal.SIGHUP)
                wait_for_others(server, old)
        finally:
            is_over.set()
        return 0

    asked = sum(all_at_once([keep_asking, keep_asking, watch, reload_twice]))
    assert asked > 0
    assert health_checks(scrape(server.client())) == start + asked
    # Scrapes without a pause may have kept some files from being merged; the next end does it.
    folder, last = folder_of(server), server.workers()[:1]
    os.kill(last[0], signal.SIGKILL)
    wait_for_others(server, last)
    assert len(list(folder.glob("counter_*.db"))) == WORKERS + 2
    assert health_checks(scrape(server.client())) == start + asked


def test_a_stop_removes_the_folder_and_a_start_what_a_killed_server_left(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(METRICS_TOKEN=METRICS_TOKEN)
    left = folder_of(server)
    assert left.stat().st_mode & 0o777 == 0o700
    other = make_server(METRICS_TOKEN=METRICS_TOKEN)
    assert left.exists()
    assert folder_of(other) != left
    tree = psutil.Process(server.process.pid).children()
    server.process.kill()
    for worker in tree:
        worker.kill()
    server.process.wait()
    psutil.wait_procs(tree)
    # Any start on this machine may remove it from now on.
    third = make_server(METRICS_TOKEN=METRICS_TOKEN)
    assert not left.exists()
    own = folder_of(third)
    assert own.exists()
    assert folder_of(other).exists()
    assert third.stop() == 0
    assert not own.exists()
    # The fixture requires every server to end well; this one must not.
    server.process.returncode = 0


def test_without_a_token_there_is_no_folder(make_server: Callable[..., Server]) -> None:
    server = make_server()
    assert server.client().get("/metrics").status_code == 404
    mapped = [part.path for part in psutil.Process(server.process.pid).memory_maps()]
    assert not [path for path in mapped if "authserve-metrics" in path]
