"""Ports of this machine that no other program gets meanwhile."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


def reserve_port() -> socket.socket:
    """Return a socket with a free port, which it keeps until it is closed.

    It never listens, so the port refuses connections. A server that is told the port and sets
    SO_REUSEADDR can have it; a program that asks for any free one cannot.
    """
    reservation = socket.socket()
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reservation.bind(("127.0.0.1", 0))
    return reservation


@contextmanager
def reserved_port() -> Iterator[int]:
    """Keep a free port in the block."""
    with reserve_port() as reservation:
        yield reservation.getsockname()[1]
