"""Bytes on a connection to a real server, as no client library would send them."""

import json
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from tests.support.server import DEADLINE_SECS, Server


@dataclass
class Answer:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    def problem(self) -> dict[str, Any]:
        """The body, which must be a problem of this response."""
        assert self.headers["content-type"] == "application/problem+json", self
        problem: dict[str, Any] = json.loads(self.body)
        assert problem["status"] == self.status
        assert problem["correlation_id"] == self.headers["x-correlation-id"]
        return problem


class Connection:
    """A connection that reads each answer to its end and no further."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.socket.settimeout(DEADLINE_SECS)
        self._file: BinaryIO = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def answer(self) -> Answer:
        """Return the next answer, without 100 Continue."""
        status_line = self._file.readline().split()
        assert status_line, "the server hung up"
        headers = {}
        while line := self._file.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if status_line[1] == b"100":
            return self.answer()
        body = self._file.read(int(headers.get("content-length", 0)))
        return Answer(int(status_line[1]), headers, body)

    def is_closed(self) -> bool:
        """Return True if the server closes the connection; wait until it sends or closes."""
        try:
            return self._file.read(1) == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self.socket.close()


class Connections(ExitStack):
    """A set of connections to a server, which it closes at its end.

    Args:
        receive_bytes: the size of each client's receive buffer; the system's own if left out.
    """

    def __init__(self, server: Server, *, receive_bytes: int | None = None) -> None:
        super().__init__()
        self._server = server
        self._receive_bytes = receive_bytes

    def open(self, start: bytes = b"") -> Connection:
        """Connect, and send the beginning of a request."""
        where = urlsplit(self._server.url)
        connected = socket.socket()
        if self._receive_bytes is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_bytes)
        connected.settimeout(DEADLINE_SECS)
        connected.connect((where.hostname, where.port))
        connection = Connection(connected)
        self.callback(connection.close)
        connection.send(start)
        return connection
