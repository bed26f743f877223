"""Many slow clients at once, and a fast one."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from authserve.http.json_body import MAX_BODY_BYTES
from authserve.serving.buffering import LINGER_SECS
from tests.conftest import fresh_database, make_settings
from tests.gunicorn.test_odd_requests import CONFIGURATION, HALF, PATIENT
from tests.support.server import DEADLINE_SECS, Server
from tests.support.wire import Connections

pytestmark = pytest.mark.gunicorn

WORKERS, THREADS, CLIENTS = 2, 4, 100

Files = Mapping[str, str] | None

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

SLOW = {
    "nothing": b"",
    "half a line": b"GET /hea",
    "half a head": GET + b"X-Slow: ",
    "half a body": POST + b"Content-Length: 60\r\n\r\n{",
    "half a body asked for": POST + b"Expect: 100-continue\r\nContent-Length: 60\r\n\r\n{",
    "half a chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n3c\r\n{",
    "a head of a body that is too long": POST + b"Content-Length: 70000\r\n\r\n{",
    "no end after the answer": GET + b"Connection: close\r\n\r\n",
    "no end after a refusal": b"GET /healthz HTTP/9.1\r\nHost: localhost\r\n\r\n",
    "half a second request": (GET + b"\r\n") * 2 + b"GET /",
}


@contextmanager
def serve(request: pytest.FixtureRequest, folder: Path, files: Files = None) -> Iterator[Server]:
    """Run a server with few threads; it has to end well."""
    environ = {"WEB_CONCURRENCY": str(WORKERS), "WEB_THREADS": str(THREADS)}
    environ["CORS_ORIGINS"] = "https://app.example.com"
    with fresh_database(request, "sqlite", folder) as url:
        server = Server(make_settings(url, folder), folder / "server", environ, files)
        server.wait_until_healthy()
        yield server
        assert server.stop() == 0, server.output()
    assert "WORKER TIMEOUT" not in server.output()


@pytest.fixture(scope="module")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """One server for all of these."""
    with serve(request, tmp_path_factory.mktemp("slow")) as server:
        yield server


@pytest.fixture(scope="module")
def patient_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server that gives no client up, however busy the machine is."""
    files = {"gunicorn.conf.py": f"{CONFIGURATION}{PATIENT}"}
    with serve(request, tmp_path_factory.mktemp("patient"), files) as server:
        yield server


@pytest.fixture
def connections(server: Server) -> Iterator[Connections]:
    with Connections(server) as opened:
        yield opened


@pytest.mark.parametrize("kind", SLOW)
def test_a_hundred_slow_clients_delay_no_other_client(patient_server: Server, kind: str) -> None:
    """They are more than ten times the threads: if they held them, no request would be served."""
    client = patient_server.client()
    with Connections(patient_server) as slow:
        for _ in range(CLIENTS):
            slow.open(SLOW[kind])
        for _ in range(5 * WORKERS):
            assert client.get("/healthz").status_code == 200


def test_a_request_that_does_not_end_is_refused_and_logged_once(
    server: Server, connections: Connections
) -> None:
    opened = [connections.open(SLOW[kind]) for kind in ("half a head", "half a body")]
    for connection in opened:
        answer = connection.answer()
        problem = answer.problem()
        assert (answer.status, problem["code"]) == (408, "request_timeout")
        assert connection.is_closed()
        lines = [x for x in server.log() if x["correlation_id"] == problem["correlation_id"]]
        assert [(line["event"], line["status"]) for line in lines] == [("request refused", 408)]


def test_each_part_of_a_request_has_its_time_limit(connections: Connections) -> None:
    """A page of a listed origin can read the refusal."""
    opened = [connections.open(start) for start in HALF.values()]
    page = connections.open(GET + b"Origin: https://app.example.com\r\nX-Slow: ").answer()
    assert page.status == 408
    assert page.headers["access-control-allow-origin"] == "https://app.example.com"
    assert [connection.answer().status for connection in opened] == [408] * len(opened)


def test_a_trickle_is_no_reason_to_wait_longer(connections: Connections) -> None:
    connection = connections.open(SLOW["half a head"])
    connection.socket.settimeout(0.2)
    received, give_up = b"", time.monotonic() + DEADLINE_SECS
    while not received:
        assert time.monotonic() < give_up
        try:
            connection.send(b"x")
            received = connection.socket.recv(100)
        except TimeoutError:
            continue
    assert received.startswith(b"HTTP/1.1 408 ")


def test_a_body_that_is_asked_for_comes(connections: Connections) -> None:
    connection = connections.open(POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert connection.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.send(b"{}")
    assert connection.answer().status == 422


def test_requests_that_come_together_are_answered_in_turn(connections: Connections) -> None:
    two = GET + b"\r\n" + POST + b"Content-Length: 2\r\n\r\n{}"
    connection = connections.open(two * 3)
    assert [connection.answer().status for _ in range(6)] == [200, 422] * 3


def test_requests_cut_anywhere_are_answered(connections: Connections) -> None:
    connection = connections.open()
    for piece in (GET[:-1], GET[-1:], b"\r", b"\nGET", b" /readyz"):
        connection.send(piece)
        time.sleep(0.05)
    assert connection.answer().status == 200
    connection.send(b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert connection.answer().status == 200


@pytest.mark.parametrize("target", ["/api/v1/auth/login", "/nowhere"])
@pytest.mark.parametrize("length", [MAX_BODY_BYTES, MAX_BODY_BYTES + 1])
def test_an_answer_states_whether_another_request_may_follow(
    connections: Connections, target: str, length: int
) -> None:
    """That holds for bodies of any length, read by the view or not."""
    head = f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
    connection = connections.open(head.encode() + b" " * length)
    if length > MAX_BODY_BYTES:
        assert connection.answer().headers["connection"] == "close"
        assert connection.is_closed()
    else:
        assert connection.answer().headers["connection"] == "keep-alive"
        connection.send(GET + b"\r\n")
        assert connection.answer().status == 200


def test_what_is_sent_on_after_an_answer_is_no_reason_to_stay(connections: Connections) -> None:
    connection = connections.open(SLOW["a head of a body that is too long"])
    assert connection.answer().problem()["code"] == "payload_too_large"
    assert connection.is_closed()

    def send_on() -> None:
        give_up = time.monotonic() + DEADLINE_SECS
        while time.monotonic() < give_up:
            connection.send(b"x")
            time.sleep(LINGER_SECS / 10)

    with pytest.raises(ConnectionError):
        send_on()
