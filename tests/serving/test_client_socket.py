"""Output that a client does not read at once, in memory and in a file."""

import socket
from collections.abc import Iterator
from threading import Thread

import pytest

from authserve.serving import client_socket
from authserve.serving.client_socket import MAX_UNSENT_BYTES, ClientSocket

Ends = tuple[ClientSocket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """The server's end of a connection, and its client's, which reads little at once."""
    server, client = socket.socketpair()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    with ClientSocket(server) as ours, client:
        yield ours, client


def read(client: socket.socket, size: int) -> bytes:
    """Read exactly this many bytes."""
    found = b""
    while len(found) < size:
        piece = client.recv(size - len(found))
        assert piece
        found += piece
    return found


def test_the_pieces_of_a_response_leave_together(ends: Ends) -> None:
    ours, client = ends
    client.setblocking(False)
    ours.sendall(b"head")
    ours.sendall(b"body")
    with pytest.raises(BlockingIOError):
        client.recv(8)
    ours.flush()
    assert client.recv(8) == b"headbody"


def test_no_caller_makes_it_block(ends: Ends) -> None:
    ours, _ = ends
    ours.setblocking(True)
    with pytest.raises(BlockingIOError):
        ours.recv(1)


def test_what_is_not_taken_is_kept_and_sent_in_its_order(ends: Ends) -> None:
    ours, client = ends
    pieces = [bytes([n]) * 100_000 for n in range(10)]
    for piece in pieces:
        ours.sendall(piece)
    assert 0 < len(ours.unsent) < 1_000_000
    received = b""
    while ours.unsent:
        received += client.recv(100_000)
        ours.flush()
    received += read(client, 1_000_000 - len(received))
    assert received == b"".join(pieces)


def test_only_beyond_what_is_kept_a_thread_waits_for_the_client(ends: Ends) -> None:
    ours, client = ends
    data = b"x" * MAX_UNSENT_BYTES
    ours.sendall(data)
    sending = Thread(target=ours.sendall, args=(data,))
    sending.start()
    assert read(client, 2 * len(data)) == data + data
    sending.join()
    assert not ours.unsent
    assert ours.gettimeout() == 0


def test_nor_does_it_wait_for_long(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_socket, "SEND_SECS", 0.1)
    with pytest.raises(BrokenPipeError):
        ends[0].sendall(b"x" * 2 * MAX_UNSENT_BYTES)


def test_a_client_that_hangs_up_is_an_error_at_once(ends: Ends) -> None:
    ours, client = ends
    ours.sendall(b"x" * 100_000)
    client.close()
    with pytest.raises(OSError, match=r"\[Errno \d+\]"):
        ours.flush()
