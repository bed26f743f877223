"""A range service of breached passwords on a loopback port, correct or faulty."""

import hashlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event

from tests.support.ports import reserve_port

HOST = "127.0.0.1"

TRICKLE_PAUSE_SECS = 0.05

PADDING = "0" * 34

Fault = Callable[["RangeServer", socket.socket], None]
"""A server's action after it has read a request."""


def digest_of(password: str) -> str:
    """The SHA-1 that ranges are made of."""
    return hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()


def reply(body: bytes, *, status: str = "200 OK", headers: bytes = b"") -> bytes:
    """A whole answer."""
    length = b"Content-Length: %d\r\n" % len(body)
    return b"HTTP/1.1 " + status.encode() + b"\r\n" + headers + length + b"\r\n" + body


class RangeServer:
    """Answers `GET /range/{prefix}` from a list of passwords, one thread a connection.

    Args:
        passwords: the breached ones.
        fault: instead of an answer.
        tls: speak TLS.
        is_early: whether `fault` comes before the question, and before TLS.
        on_question: called with the head of each question before anything is answered.
    """

    def __init__(
        self,
        *passwords: str,
        fault: Fault | None = None,
        tls: ssl.SSLContext | None = None,
        is_early: bool = False,
        on_question: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.passwords = set(passwords)
        self.fault = fault
        self.questions: list[str] = []
        self.is_over = Event()
        self._tls = tls
        self._is_early = is_early
        self.on_question = on_question
        self._reservation = reserve_port()
        self.port: int = self._reservation.getsockname()[1]
        self._listener = socket.create_server((HOST, self.port), backlog=128)
        self._threads: list[threading.Thread] = []
        self._main = threading.Thread(target=self._serve, daemon=True)
        self._main.start()

    @property
    def url(self) -> str:
        """The value of `BREACHED_PASSWORDS_URL`."""
        return f"{'http' if self._tls is None else 'https'}://{HOST}:{self.port}/range"

    def range_of(self, prefix: str) -> bytes:
        """Return the correct answer to a request, padding included."""
        digests = [digest_of(password) for password in self.passwords]
        lines = [f"{digest[5:]}:3" for digest in digests if digest.startswith(prefix)]
        lines += [f"{PADDING}{n:X}:0" for n in range(10)]
        return "\r\n".join(lines).encode()

    def stop(self) -> None:
        """End, also with open connections."""
        self.is_over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in (self._main, *self._threads):
            thread.join()

    def close(self) -> None:
        """End it for good."""
        self.stop()
        self._reservation.close()

    def _serve(self) -> None:
        while not self.is_over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._talk, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _talk(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            if self._is_early and self.fault is not None:
                self.fault(self, connection)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = connection.recv(1)
            if not byte:
                return
            head += byte
        question = head.decode()
        self.questions.append(question)
        self.on_question(question)
        if self.fault is not None:
            self.fault(self, connection)
            return
        prefix = question.split()[1].removeprefix("/range/")
        connection.sendall(reply(self.range_of(prefix)))


def hang(server: RangeServer, _connection: socket.socket) -> None:
    """Send nothing until the test ends."""
    server.is_over.wait()


def drop(_server: RangeServer, connection: socket.socket) -> None:
    """Break the connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def send(data: bytes) -> Fault:
    """Answer with `data`, and close the connection."""
    return lambda _server, connection: connection.sendall(data)


def trickle(data: bytes) -> Fault:
    """Answer one byte at a time, without an end."""

    def fault(server: RangeServer, connection: socket.socket) -> None:
        rest = iter(data)
        while not server.is_over.wait(TRICKLE_PAUSE_SECS):
            connection.sendall(bytes([next(rest, ord("0"))]))

    return fault


@contextmanager
def range_server(*passwords: str, **options: object) -> Iterator[RangeServer]:
    """A range service, for as long as the block runs."""
    server = RangeServer(*passwords, **options)  # type: ignore[arg-type]
    try:
        yield server
    finally:
        server.close()
