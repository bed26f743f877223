"""A client's connection, in which a response waits for the client and not its thread."""

import errno
import socket
from typing import Any

MAX_UNSENT_BYTES = 2 * 1024 * 1024
"""Limits what is kept of a response for a client that does not take it: more than any file of
`/docs` and any page of a list (chosen)."""

SEND_SECS = 60.0
"""From a response's first byte that a client does not take at once to its last; 2 MiB at
280 kbit/s (chosen)."""


class ClientSocket(socket.socket):
    """A socket that keeps what its client does not take at once.

    Only beyond `MAX_UNSENT_BYTES`, as long exports are, a thread waits for the client: at most
    `SEND_SECS` for so many bytes.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self.unsent = bytearray()

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send what the client takes at once, and keep the rest.

        Raises:
            BrokenPipeError: the client has taken too little for too long.
        """
        self.unsent += data
        self.flush()
        if len(self.unsent) > MAX_UNSENT_BYTES:
            self._send_waiting(flags)

    def flush(self) -> None:
        """Send what the client takes at once of what was kept."""
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
            raise BrokenPipeError(errno.EPIPE, "The client takes too little.") from None
        finally:
            self.settimeout(timeout)
        self.unsent.clear()
