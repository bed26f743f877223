"""Slow, odd and half requests, all at once, to a real server with few threads.

Each is sent by more connections than there are threads, and nothing more follows. None of them may
hold a thread: beside them, a plain request is answered. The time that a request may take to arrive
is an hour here, so that one that held a thread would hold it for longer than any test waits.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import psutil
import pytest

import config
from authserve.http.json_body import MAX_BODY_BYTES
from tests.conftest import fresh_database, make_settings
from tests.support.server import DEADLINE_SECS, Server
from tests.support.wire import Connections
from tests.support.worker import wait_until

pytestmark = pytest.mark.gunicorn

MakeServer = Callable[..., Server]

CONFIGURATION = (config.ROOT / "gunicorn.conf.py").read_text()

PATIENT = "import authserve.serving.buffering\nauthserve.serving.buffering.ARRIVAL_SECS = 3600.0\n"

WORKERS, THREADS = 2, 2

COPIES = 3 * WORKERS * THREADS

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

HALF = {
    "an empty line": b"\r\n",
    "an empty line and a half": b"\r\nGET /healthz",
    "a carriage return": b"\r",
    "half a method": b"GE",
    "half a line": b"GET /hea",
    "a line": b"GET /healthz HTTP/1.1\r\n",
    "half a head": GET + b"X-Slow: ",
    "all but the last byte of a head": GET + b"\r",
    "many fields": GET + b"a:\r\n" * 90,
    "a head": POST + b"Content-Length: 2\r\n\r\n",
    "half a body": POST + b"Content-Length: 60\r\n\r\n{",
    "a body of ends": POST + b"Content-Length: 60000\r\n\r\n" + b"\r\n" * 29_999,
    "a body that is asked for": POST + b"Expect: 100-continue\r\nContent-Length: 60\r\n\r\n",
    "no chunk": CHUNKED,
    "half a chunk size": CHUNKED + b"3",
    "half a chunk": CHUNKED + b"3c\r\n{",
    "no end of a chunk": CHUNKED + b"2\r\n{}",
    "no last chunk": CHUNKED + b"2\r\n{}\r\n",
    "no end of the last chunk": CHUNKED + b"2\r\n{}\r\n0\r\n",
    "half a trailer": CHUNKED + b"2\r\n{}\r\n0\r\nX: y\r\n",
    "chunks of one byte": CHUNKED + b"1\r\n \r\n" * 20_000,
    "chunks like ends": CHUNKED + b"4\r\n\r\n\r\n\r\n" * 10_000,
    "a long chunk extension": CHUNKED + b"1;" + b"x" * 8_000,
}
"""Incomplete requests: the client may still send the rest."""

REFUSED = {
    "two empty lines": (b"\r\n\r\n", 400),
    "an empty line twice over": (b"\r\n" * 70, 400),
    "a bare line feed": (b"\n", 400),
    "lines that end in line feeds": (b"GET /healthz HTTP/1.1\nHost: localhost\n\n", 400),
    "HTTP/0.9": (b"GET /healthz\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", 400),
    "no Host": (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
    "a long request line": (b"GET /".ljust(30_000, b"x"), 414),
    "a long head": (GET + b"X: ".ljust(40_000, b"x"), 431),
    "too many fields": (GET + b"a:\r\n" * 101 + b"\r\n", 431),
    "a ten-digit length": (POST + b"Content-Length: 9999999999\r\n\r\n{", 413),
    "a twenty-digit length": (POST + b"Content-Length: 99999999999999999999\r\n\r\n{", 413),
    "a length above the limit": (POST + b"Content-Length: 65537\r\n\r\n", 413),
    "such a length after a question": (
        POST + b"Expect: 100-continue\r\nContent-Length: 65537\r\n\r\n",
        413,
    ),
    "another expectation": (POST + b"Expect: 200-ok\r\nContent-Length: 2\r\n\r\n", 417),
    "two lengths": (POST + b"Content-Length: 9\r\nContent-Length: 9\r\n\r\n{", 400),
    "a length with a sign": (POST + b"Content-Length: +9\r\n\r\n{", 400),
    "two codings": (
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{",
        400,
    ),
    "another coding first": (
        POST + b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{",
        400,
    ),
    "compressed": (POST + b"Transfer-Encoding: gzip\r\n\r\n", 400),
    "a length and chunks": (
        POST + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{",
        400,
    ),
    "chunks in HTTP/1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{", 400),
    "a nine-digit chunk size": (CHUNKED + b"123456789\r\n{", 413),
    "a chunk beyond the limit": (CHUNKED + b"20001\r\n{", 413),
    "chunks beyond the limit": (CHUNKED + b"8001\r\n%s\r\n" % (b" " * 0x8001) * 2, 413),
    "no chunk size": (CHUNKED + b"zz\r\n", 400),
    "a folded field": (GET + b"X: y\r\n z\r\n\r\n", 400),
}
"""Requests that will never be complete, and the status that refuses each at once."""


@pytest.fixture(scope="module")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """One server with few threads for all of these; it has to end well."""
    folder = tmp_path_factory.mktemp("odd")
    environ = {"WEB_CONCURRENCY": str(WORKERS), "WEB_THREADS": str(THREADS)}
    environ["CORS_ORIGINS"] = "https://app.example.com"
    files = {"gunicorn.conf.py": f"{CONFIGURATION}{PATIENT}"}
    with fresh_database(request, "sqlite", folder) as url:
        server = Server(make_settings(url, folder), folder / "server", environ, files)
        server.wait_until_healthy()
        before = set(server.workers())
        yield server
        assert set(server.workers()) == before, "a worker died"
        assert server.stop() == 0, server.output()
    assert "WORKER TIMEOUT" not in server.output()
    assert "Traceback" not in server.output()


@pytest.fixture
def connections(server: Server) -> Iterator[Connections]:
    with Connections(server) as opened:
        yield opened


def assert_answers(server: Server) -> None:
    """Every worker answers plain requests."""
    client = server.client()
    for _ in range(5 * WORKERS):
        assert client.get("/healthz").status_code == 200


def test_none_of_them_holds_a_thread(server: Server, connections: Connections) -> None:
    for _ in range(COPIES):
        connections.open()
    for start in HALF.values():
        for _ in range(COPIES):
            connections.open(start)
    refused = [connections.open(start) for start, _ in REFUSED.values() for _ in range(COPIES)]
    assert_answers(server)
    expected = [status for _, status in REFUSED.values() for _ in range(COPIES)]
    assert [connection.answer().status for connection in refused] == expected
    assert all(connection.is_closed() for connection in refused)
    assert_answers(server)


def test_bytes_that_come_one_by_one_delay_no_other_client(
    server: Server, connections: Connections
) -> None:
    kinds = ("many fields", "a body of ends", "chunks of one byte", "chunks like ends")
    trickles = [connections.open() for _ in kinds]
    for at in range(2_000):
        for connection, kind in zip(trickles, kinds, strict=True):
            connection.send(HALF[kind][at : at + 1])
    assert_answers(server)


def test_pipelined_requests_behind_odd_ones_are_answered_in_turn(connections: Connections) -> None:
    odd = b"\r\n" + GET + b"\r\n" + CHUNKED + b"2\r\n{}\r\n0\r\nX: y\r\n\r\n" + GET + b"\r\n"
    connection = connections.open(odd * 3 + b"GET / HTTP/9.9\r\n\r\n")
    statuses = [connection.answer().status for _ in range(10)]
    assert statuses == [200, 422, 200] * 3 + [400]


PAGE = b"Origin: https://app.example.com\r\nX-Correlation-ID: the-pages-own\r\n"


@pytest.mark.parametrize(
    ("start", "status"),
    [
        (GET + PAGE + b"X: y\r\n z\r\n\r\n", 400),
        (POST + PAGE + b"Content-Length: 70000\r\n\r\n", 413),
        (GET + PAGE + b"X: ".ljust(40_000, b"x"), 431),
    ],
)
def test_a_listed_page_reads_early_refusals(
    connections: Connections, start: bytes, status: int
) -> None:
    answer = connections.open(start).answer()
    assert answer.status == status
    assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
    assert "X-Correlation-ID" in answer.headers["access-control-expose-headers"]
    assert answer.headers["vary"] == "Origin"
    assert answer.problem()["correlation_id"] == "the-pages-own"


def test_no_other_page_reads_them(connections: Connections) -> None:
    for origin in (b"https://evil.example", b"null", b"*"):
        answer = connections.open(GET + b"Origin: %s\r\nX: y\r\n z\r\n\r\n" % origin).answer()
        assert (answer.status, answer.headers["vary"]) == (400, "Origin")
        assert "access-control-allow-origin" not in answer.headers


KERNEL_BYTES = 8 * 1024 * 1024
"""More than the kernel keeps for a client that does not read, 4 MiB by default (tcp(7))."""


@pytest.mark.parametrize("path", [b"/docs/swagger-ui-bundle.js", b"/openapi.json"])
def test_clients_that_do_not_read_delay_no_other_client(server: Server, path: bytes) -> None:
    request = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path
    whole = server.client().get(path.decode()).content
    times = KERNEL_BYTES // len(whole) + 1
    with Connections(server, receive_bytes=2_048) as deaf:
        opened = [deaf.open(request * times) for _ in range(80)]
        assert_answers(server)
        # One that reads after all gets all of it, while only the oldest had to make room.
        answers = [opened[-1].answer() for _ in range(times)]
        assert [(answer.status, answer.body) for answer in answers] == [(200, whole)] * times
    assert_answers(server)


def test_a_request_of_the_largest_size_is_read_from_memory(connections: Connections) -> None:
    body = b"{}".ljust(MAX_BODY_BYTES)
    for raw in (
        POST + b"Content-Length: %d\r\n\r\n" % len(body) + body,
        CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body),
    ):
        connection = connections.open()
        for start in range(0, len(raw), 5_000):
            connection.send(raw[start : start + 5_000])
        assert connection.answer().status == 422


def test_without_a_file_for_another_connection_workers_live(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("files")
    environ = {"WEB_CONCURRENCY": "2", "WEB_THREADS": "2"}
    with fresh_database(request, "sqlite", folder) as url:
        server = Server(make_settings(url, folder), folder / "server", environ)
        server.wait_until_healthy()
        before = set(server.workers())
        for pid in before:
            files = psutil.Process(pid).num_fds() + 10
            psutil.Process(pid).rlimit(psutil.RLIMIT_NOFILE, (files, files))
        with Connections(server) as connections:
            for _ in range(100):
                connections.open()
            # Silent connections make room for those that send.
            for _ in range(20):
                assert connections.open(GET + b"\r\n").answer().status == 200
        give_up = time.monotonic() + DEADLINE_SECS
        while "Accepting no connections for a while" not in server.output():
            assert time.monotonic() < give_up
            time.sleep(0.1)
        assert server.client().get("/healthz").status_code == 200
        assert set(server.workers()) == before
        assert server.stop() == 0, server.output()


def test_as_many_silent_clients_as_there_is_room_for_make_room(make_server: MakeServer) -> None:
    few = f"{CONFIGURATION}\nworker_connections = {2 * THREADS}\n"
    server = make_server(
        files={"gunicorn.conf.py": few}, WEB_CONCURRENCY="1", WEB_THREADS=str(THREADS)
    )
    with Connections(server) as connections:
        for _ in range(50):
            connections.open()
        assert_answers(server)


def test_a_client_that_never_reads_is_given_up(make_server: MakeServer) -> None:
    brief = "import authserve.serving.buffering\nauthserve.serving.buffering.SEND_SECS = 0.5\n"
    server = make_server(files={"gunicorn.conf.py": CONFIGURATION + brief}, WEB_CONCURRENCY="1")
    (worker,) = server.workers()
    whole = server.client().get("/docs/swagger-ui-bundle.js").content
    request = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    # The kernel of a busy machine has taken the double of its limit.
    times = 4 * KERNEL_BYTES // len(whole)
    with Connections(server, receive_bytes=2_048) as deaf:
        connection = deaf.open(request * times)
        port = connection.socket.getsockname()[1]
        connections = psutil.Process(worker).net_connections

        def is_given_up() -> bool:
            return port not in [c.raddr.port for c in connections("tcp") if c.raddr]

        # The kernel's list can miss a connection while others come and go.
        wait_until(lambda: all(is_given_up() for _ in range(3)))
        received = 0
        with suppress(ConnectionError):
            while piece := connection.socket.recv(100_000):
                received += len(piece)
        assert 0 < received < times * len(whole)
