"""Connections under a deadline, to real servers that are slow at every step."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event
from typing import Any

import pytest
import trustme

from authserve.core import deadline as module
from authserve.core.deadline import Deadline, DeadlineSocket, TLSContext, connect, make_tls_context
from tests.support.ports import reserved_port
from tests.support.tls import server_context

HOST = "127.0.0.1"

SOON_SECS = 0.3
"""A deadline that passes while the server is slow."""

LATE_SECS = 300.0
"""A deadline that never passes, however busy the machine is."""

PAUSE_SECS = 0.02
"""Between two bytes of a slow server: far below the deadline, which must pass all the same."""

Conversation = Callable[[socket.socket, Event], None]


def trickle(connection: socket.socket, is_over: Event) -> None:
    while not is_over.wait(PAUSE_SECS):
        connection.sendall(b"x")


def read_slowly(connection: socket.socket, is_over: Event) -> None:
    while not is_over.wait(PAUSE_SECS):
        connection.recv(1_000)


def echo(connection: socket.socket, _is_over: Event) -> None:
    connection.sendall(connection.recv(1_000))


@contextmanager
def listening(talk: Conversation, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server for one connection; the port, for as long as the block runs."""
    is_over = Event()

    def serve() -> None:
        with suppress(OSError), listener.accept()[0] as connection:
            if tls is None:
                talk(connection, is_over)
            else:
                with tls.wrap_socket(connection, server_side=True) as encrypted:
                    talk(encrypted, is_over)

    with socket.create_server((HOST, 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            is_over.set()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture(scope="module")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    return server_context(authority, HOST)


@pytest.fixture(params=["plain", "tls"])
def contexts(
    request: pytest.FixtureRequest, server_tls: ssl.SSLContext, trusting: TLSContext
) -> tuple[ssl.SSLContext | None, TLSContext | None]:
    """The server's context and the client's, or None for both."""
    return (server_tls, trusting) if request.param == "tls" else (None, None)


def read_line(connection: DeadlineSocket) -> None:
    with connection.makefile("rb") as file:
        file.readline()


def send_much(connection: DeadlineSocket) -> None:
    connection.sendall(bytes(100_000_000))


class TestConversation:
    def test_it_exchanges_data(self, contexts: tuple[Any, Any]) -> None:
        of_server, of_client = contexts
        with (
            listening(echo, of_server) as port,
            connect(HOST, port, Deadline(LATE_SECS), tls=of_client) as connection,
        ):
            connection.sendall(b"hello\n")
            with connection.makefile("rb") as file:
                assert file.readline() == b"hello\n"

    @pytest.mark.parametrize(
        ("talk", "act"), [(trickle, read_line), (read_slowly, send_much)], ids=["read", "write"]
    )
    def test_bytes_that_come_or_go_slowly_do_not_extend_it(
        self,
        contexts: tuple[Any, Any],
        talk: Conversation,
        act: Callable[[DeadlineSocket], None],
    ) -> None:
        of_server, of_client = contexts
        with listening(talk, of_server) as port:
            deadline = Deadline(LATE_SECS)
            with connect(HOST, port, deadline, tls=of_client) as connection:
                deadline.shorten(SOON_SECS)
                with pytest.raises(TimeoutError):
                    act(connection)
                assert deadline.has_passed

    def test_no_operation_begins_after_it(self, contexts: tuple[Any, Any]) -> None:
        of_server, of_client = contexts
        with listening(trickle, of_server) as port:
            deadline = Deadline(LATE_SECS)
            with connect(HOST, port, deadline, tls=of_client) as connection:
                deadline.shorten(0)
                for act in (connection.send, connection.sendall, connection.recv_into):
                    with pytest.raises(TimeoutError, match="the deadline has passed"):
                        act(bytearray(1))

    def test_shortening_never_extends_it(self) -> None:
        deadline = Deadline(0)
        deadline.shorten(LATE_SECS)
        assert deadline.has_passed


class TestHandshake:
    def test_bytes_that_come_slowly_do_not_extend_it(self, trusting: TLSContext) -> None:
        def trickle_record(connection: socket.socket, is_over: Event) -> None:
            connection.sendall(b"\x16\x03\x03\x40\x00")
            trickle(connection, is_over)

        with listening(trickle_record) as port:
            deadline = Deadline(SOON_SECS)
            with pytest.raises(TimeoutError):
                connect(HOST, port, deadline, tls=trusting)
            assert deadline.has_passed

    def test_a_handshake_after_words_in_the_clear_has_only_the_rest(
        self, trusting: TLSContext
    ) -> None:
        with listening(read_slowly) as port:
            deadline = Deadline(LATE_SECS)
            with connect(HOST, port, deadline) as connection:
                connection.sendall(b"STARTTLS\r\n")
                deadline.shorten(SOON_SECS)
                with pytest.raises(TimeoutError):
                    trusting.wrap_socket(connection, server_hostname=HOST)

    def test_it_verifies_the_authority(self, server_tls: ssl.SSLContext) -> None:
        with listening(echo, server_tls) as port, pytest.raises(ssl.SSLCertVerificationError):
            connect(HOST, port, Deadline(LATE_SECS), tls=make_tls_context())

    def test_it_verifies_the_name(self, server_tls: ssl.SSLContext, trusting: TLSContext) -> None:
        with listening(echo, server_tls) as port, pytest.raises(ssl.SSLCertVerificationError):
            connect("localhost", port, Deadline(LATE_SECS), tls=trusting)

    def test_it_uses_no_version_before_1_2(self) -> None:
        assert make_tls_context().minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.fixture
def full_server() -> Iterator[int]:
    """The port of a server whose queue is full, so that Linux lets a further client wait."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        try:
            for client in waiting:
                client.setblocking(False)
                client.connect_ex(address)
            yield address[1]
        finally:
            for client in waiting:
                client.close()


class TestConnect:
    def test_an_attempt_ends_at_the_deadline(self, full_server: int) -> None:
        deadline = Deadline(SOON_SECS)
        with pytest.raises(TimeoutError):
            connect(HOST, full_server, deadline)
        assert deadline.has_passed

    def test_one_attempt_leaves_time_for_the_next_address(
        self, full_server: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "CONNECT_TIMEOUT_SECS", SOON_SECS)
        with listening(echo) as port:
            addresses = [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOST, number))
                for number in (full_server, port)
            ]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: addresses)
            with connect("two.example", 25, Deadline(LATE_SECS)) as connection:
                assert connection.getpeername() == (HOST, port)

    def test_a_refused_connection_is_reported(self) -> None:
        with reserved_port() as port, pytest.raises(ConnectionRefusedError):
            connect(HOST, port, Deadline(LATE_SECS))

    def test_a_name_that_does_not_exist_is_reported(self) -> None:
        with pytest.raises(socket.gaierror):
            connect("mail.invalid", 25, Deadline(LATE_SECS))

    def test_a_resolver_that_hangs_ends_at_the_deadline(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        is_over = Event()

        def hang(*_args: object, **_options: object) -> None:
            is_over.wait()
            raise socket.gaierror

        monkeypatch.setattr(socket, "getaddrinfo", hang)
        try:
            with pytest.raises(TimeoutError):
                connect("slow.example", 25, Deadline(SOON_SECS))
        finally:
            is_over.set()

    def test_no_connection_is_opened_after_the_deadline(self) -> None:
        with pytest.raises(TimeoutError):
            connect(HOST, 25, Deadline(0))
