"""The stop of a real server, with requests in flight and kept connections."""

import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

import psutil
import pytest

import config
from tests.support.raw_http import Sent, send
from tests.support.server import DEADLINE_SECS, Server
from tests.support.worker import wait_until

pytestmark = [pytest.mark.gunicorn, pytest.mark.fault]

MakeServer = Callable[..., Server]

SLOW_WSGI = {
    "wsgi.py": (config.ROOT / "wsgi.py").read_text()
    + """
import time

def slow(tenths):
    time.sleep(tenths / 10)
    return {}

app.add_url_rule("/slow/<int:tenths>", "slow", slow)
""",
    "gunicorn.conf.py": (config.ROOT / "gunicorn.conf.py").read_text()
    + f"\ngraceful_timeout = {DEADLINE_SECS}\n",
}
"""The service, with a slow page, and time for its requests on a machine of any load."""

IN_FLIGHT = 200


def statuses(sent: list[Sent]) -> Counter[int | None]:
    answers = [connection.answer() for connection in sent]
    for connection in sent:
        connection.close()
    return Counter(answer and answer.status for answer in answers)


def is_listening(server: Server) -> bool:
    where = urlsplit(server.url)
    try:
        socket.create_connection((where.hostname, where.port), DEADLINE_SECS).close()
    except ConnectionRefusedError:
        return False
    return True


def readiness(server: Server) -> tuple[int, str]:
    response = server.client(until_served=False).get("/readyz")
    return response.status_code, response.json()["status"]


def test_sigterm_aborts_none_of_200_requests_that_were_accepted(make_server: MakeServer) -> None:
    """More requests than threads."""
    server = make_server(files=SLOW_WSGI, WEB_THREADS="40")
    in_flight = [send(server.url, f"/slow/{20 if n % 4 else 1}") for n in range(IN_FLIGHT)]
    server.process.send_signal(signal.SIGTERM)
    assert statuses(in_flight) == {200: IN_FLIGHT}
    assert server.process.wait(DEADLINE_SECS) == 0
    # No request had to be cut off.
    assert "SIGKILL" not in server.output()


def test_what_waits_for_a_busy_worker_is_answered_before_it_stops(server: Server) -> None:
    """The kernel has accepted the connection; no worker has taken it yet."""
    workers = [psutil.Process(worker) for worker in server.workers()]
    for worker in workers:
        worker.suspend()
    waiting = [send(server.url, "/healthz") for _ in range(IN_FLIGHT)]
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "Handling signal: term" in server.output())
    for worker in workers:
        worker.resume()
    assert statuses(waiting) == {200: IN_FLIGHT}
    assert server.process.wait(DEADLINE_SECS) == 0


def test_it_turns_unready_and_serves_on_before_it_stops(make_server: MakeServer) -> None:
    """The drain is long, so that the test can end it on a machine of any speed."""
    server = make_server(files=SLOW_WSGI, DRAIN_SECONDS="300")
    kept = Sent(server.url)
    kept.get("/healthz")
    answer = kept.answer()
    assert answer is not None
    assert answer.headers["Connection"] == "keep-alive"
    assert readiness(server) == (200, "ok")

    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: readiness(server) == (503, "draining"))
    # By every worker; all else is as before, except that the connection closes.
    assert {readiness(server) for _ in range(30)} == {(503, "draining")}
    in_flight = [send(server.url, "/slow/20") for _ in range(IN_FLIGHT)]
    kept.get("/healthz")
    answer = kept.answer()
    assert answer is not None
    assert (answer.status, answer.headers["Connection"]) == (200, "close")
    kept.close()

    # A second one ends the wait.
    server.process.send_signal(signal.SIGTERM)
    assert statuses(in_flight) == {200: IN_FLIGHT}
    assert server.process.wait(DEADLINE_SECS) == 0
    assert not is_listening(server)


def test_it_stops_by_itself_when_it_has_drained(make_server: MakeServer) -> None:
    server = make_server(files=SLOW_WSGI, DRAIN_SECONDS="2")
    told_at = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: readiness(server) == (503, "draining"))
    in_flight = [send(server.url, "/slow/30") for _ in range(10)]
    assert statuses(in_flight) == {200: 10}
    assert server.process.wait(DEADLINE_SECS) == 0
    assert time.monotonic() - told_at >= 2


def test_a_worker_that_dies_while_it_drains_is_replaced(make_server: MakeServer) -> None:
    """Some platforms send SIGTERM to every process of a machine, and not to the master alone."""
    server = make_server(DRAIN_SECONDS="300", WEB_CONCURRENCY="2")
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: readiness(server) == (503, "draining"))
    before = server.workers()
    for worker in before:
        psutil.Process(worker).send_signal(signal.SIGTERM)
    wait_until(lambda: not set(before) & set(server.workers()))
    assert {readiness(server) for _ in range(10)} == {(503, "draining")}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_these_signals_know_no_drain(make_server: MakeServer, number: signal.Signals) -> None:
    server = make_server(DRAIN_SECONDS="300")
    server.process.send_signal(number)
    assert server.process.wait(DEADLINE_SECS) == 0
    assert "Draining" not in server.output()


def test_a_reload_replaces_every_worker_and_fails_no_request(make_server: MakeServer) -> None:
    server = make_server(files=SLOW_WSGI)
    before = server.workers()
    in_flight = [send(server.url, f"/slow/{n % 20}") for n in range(IN_FLIGHT)]
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: set(server.workers()) - set(before))
    in_flight += [send(server.url, f"/slow/{n % 20}") for n in range(IN_FLIGHT)]
    assert statuses(in_flight) == {200: 2 * IN_FLIGHT}
    wait_until(lambda: not set(before) & set(server.workers()))


NOTHING = "FEATURES=none"
EVERYTHING = "FEATURES=pages\nMETRICS_TOKEN=kV3mXq8ZtR1wYb6NcJ4hLd9PfGs2uAe7"


@pytest.mark.parametrize(
    ("before", "after"),
    [(NOTHING, EVERYTHING), (EVERYTHING, NOTHING)],
    ids=["on", "off"],
)
def test_a_reload_keeps_the_parts_that_are_loaded(
    make_server: MakeServer, before: str, after: str
) -> None:
    """Only a restart switches features and metrics, whatever `.env` says by now."""
    server = make_server(files={".env": before}, FEATURES="")
    workers = set(server.workers())
    server.write_file(".env", after)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: server.process.poll() is not None or not workers & set(server.workers()))
    server.wait_until_healthy()
    assert server.process.poll() is None


def test_a_reload_with_an_invalid_setting_keeps_the_former_ones(make_server: MakeServer) -> None:
    server = make_server()
    workers = set(server.workers())
    server.write_file(".env", "LOG_LEVEL=LOUD")
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: server.process.poll() is not None or not workers & set(server.workers()))
    server.wait_until_healthy()
    assert "LOG_LEVEL: must be one of" in server.output()
