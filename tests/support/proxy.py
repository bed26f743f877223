"""A small reverse proxy on loopback, like a platform's router: it obeys `/readyz`.

It retries nothing: if the server behind it does not answer, its caller gets 502.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from queue import Empty, SimpleQueue
from select import select
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
"""Each side has its own (RFC 9110 §7.6.1); bodies are read whole here."""

POLL_SECS = 0.05

TIMEOUT_SECS = 300


class Backend:
    """A server behind the proxy, with the connections to it that are kept open.

    Args:
        url: where it is.
    """

    def __init__(self, url: str) -> None:
        self._netloc = urlsplit(url).netloc
        self._idle: SimpleQueue[HTTPConnection] = SimpleQueue()
        self.is_ready = False
        self.served = 0

    def look(self) -> None:
        """Ask whether it is ready."""
        try:
            with closing(HTTPConnection(self._netloc, timeout=TIMEOUT_SECS)) as connection:
                connection.request("GET", "/readyz", headers={"Connection": "close"})
                self.is_ready = connection.getresponse().status == 200
        except (OSError, HTTPException):
            self.is_ready = False

    def send(self, *request: Any) -> tuple[HTTPResponse, bytes]:
        """Forward a request, on a kept connection if there is one.

        Raises:
            OSError, HTTPException: there was no answer.
        """
        connection = self._take()
        try:
            connection.request(*request)
            response = connection.getresponse()
            body = response.read()
        except BaseException:
            connection.close()
            raise
        self.served += 1
        if response.will_close:
            connection.close()
        else:
            self._idle.put(connection)
        return response, body

    def _take(self) -> HTTPConnection:
        with suppress(Empty):
            while True:
                connection = self._idle.get_nowait()
                # On an idle connection the server can only close it.
                if not select([connection.sock], [], [], 0)[0]:
                    return connection
                connection.close()
        return HTTPConnection(self._netloc, timeout=TIMEOUT_SECS)

    def hang_up(self) -> None:
        """Close the kept connections."""
        with suppress(Empty):
            while True:
                self._idle.get_nowait().close()


class Proxy:
    """The proxy; clients reach it at `url`.

    Args:
        urls: where the servers behind it are.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self.backends = [Backend(url) for url in urls]
        self._turn = count()
        self.loses_answers = Event()
        """While it is set, the client's connection is closed after the server has answered."""
        self._is_closed = Event()
        self._server = _make_server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._threads = [Thread(target=self._server.serve_forever, args=(POLL_SECS,))]
        self._threads += [Thread(target=self._watch, args=(each,)) for each in self.backends]
        for thread in self._threads:
            thread.start()

    def _watch(self, backend: Backend) -> None:
        while not self._is_closed.wait(POLL_SECS):
            was_ready = backend.is_ready
            backend.look()
            if was_ready and not backend.is_ready:
                backend.hang_up()

    def pass_on(self, *request: Any) -> tuple[HTTPResponse, bytes]:
        """Forward a request to one of the ready servers.

        Raises:
            OSError, HTTPException: it did not, or none is ready.
        """
        ready = [backend for backend in self.backends if backend.is_ready]
        if not ready:
            raise ConnectionError
        return ready[next(self._turn) % len(ready)].send(*request)

    def close(self) -> None:
        """End it, with all of its connections."""
        self._is_closed.set()
        self._server.shutdown()
        self._server.server_close()
        for thread in self._threads:
            thread.join()
        for backend in self.backends:
            backend.hang_up()


def _make_server(proxy: Proxy) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
            try:
                response, answer = proxy.pass_on(self.command, self.path, body or None, headers)
            except (OSError, HTTPException) as error:
                self._answer(502, [], repr(error).encode())
                return
            if proxy.loses_answers.is_set():
                self.close_connection = True
                return
            self._answer(response.status, response.getheaders(), answer)

        def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@contextmanager
def proxy_before(*urls: str) -> Iterator[Proxy]:
    """A proxy before these servers, for the time of a block."""
    proxy = Proxy(urls)
    try:
        yield proxy
    finally:
        proxy.close()
