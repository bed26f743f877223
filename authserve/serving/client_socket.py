"""A client's socket that keeps unsent bytes in memory, so that no thread waits for the client."""

import errno
import socket
from typing import Any

MAX_UNSENT_BYTES = 2 * 1024 * 1024
"""Limits the unsent bytes of a response that are kept: more than any file of `/docs` and any page
of a list (chosen)."""

SEND_SECS = 60.0
"""Limits the time that a client takes to read the unsent part of a response: 2 MiB at 280 kbit/s
(chosen)."""


PIECE_BYTES = 64 * 1024
"""Limits the bytes of a response that wait for the rest of it (chosen)."""


class ClientSocket(socket.socket):
    """A socket that does not block, and keeps the bytes that it cannot send at once.

    gunicorn passes the head of a response and its body one by one. They leave together with
    `flush`, which costs one system call, and wakes the client once.

    Only a response with more than `MAX_UNSENT_BYTES` unsent, such as a long export, makes its
    thread wait for the client: at most `SEND_SECS` each time.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        super().setblocking(False)
        self.unsent = bytearray()

    def setblocking(self, _flag: bool, /) -> None:
        """Change nothing: gunicorn calls this four times a request, a system call each."""

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Keep bytes for `flush`; of more than `PIECE_BYTES`, send what can be sent at once.

        Raises:
            BrokenPipeError: more than `MAX_UNSENT_BYTES` were unsent, and the client did not read
                them within `SEND_SECS`.
        """
        self.unsent += data
        if len(self.unsent) <= PIECE_BYTES:
            return
        self.flush()
        if len(self.unsent) > MAX_UNSENT_BYTES:
            self._send_waiting(flags)

    def flush(self) -> None:
        """Send as many of the kept bytes as can be sent at once."""
        try:
            while self.unsent:
                del self.unsent[: self.send(self.unsent, socket.MSG_DONTWAIT)]
        except BlockingIOError:
            return

    def _send_waiting(self, flags: int) -> None:
        timeout = self.gettimeout()
        self.settimeout(SEND_SECS)
        try:
            super().sendall(self.unsent, flags)
        except TimeoutError:
            raise BrokenPipeError(errno.EPIPE, "The client reads too slowly.") from None
        finally:
            self.settimeout(timeout)
        self.unsent.clear()
