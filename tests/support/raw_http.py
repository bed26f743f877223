"""Requests on sockets of a test's own, sent now and answered later."""

import socket
from http.client import HTTPException, HTTPResponse
from urllib.parse import urlsplit

from tests.support.server import DEADLINE_SECS


class Sent:
    """A connection with a pending request.

    Args:
        url: where the server is.
    """

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self._socket = socket.create_connection((where.hostname, where.port), DEADLINE_SECS)

    def get(self, path: str) -> "Sent":
        """Send a request that asks for the connection to be kept."""
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return self

    def answer(self) -> HTTPResponse | None:
        """The whole answer, or None if the connection ended without one."""
        response = HTTPResponse(self._socket)
        try:
            response.begin()
            response.read()
        except (HTTPException, ConnectionError):
            return None
        return response

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def send(url: str, path: str) -> Sent:
    """Send a GET on a connection of its own."""
    return Sent(url).get(path)
