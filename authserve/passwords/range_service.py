"""The client of a range service of breached passwords, with a strict deadline.

The protocol is that of Pwned Passwords (haveibeenpwned.com/API/v3#PwnedPasswords). The request has
the first five hexadecimal digits of a SHA-1; the answer has the remaining 35 of every digest that
begins with them. `http.client` is used since it follows no redirect, retries nothing, and takes no
proxy from the environment.
"""

import re
import socket
import ssl
from concurrent.futures import Future
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Lock, Thread
from urllib.parse import urlsplit

TOTAL_TIMEOUT_SECS = 1.0
"""Limit from the DNS look-up to the last byte: a user waits for it (ASVS 13.1.3; chosen)."""

MAX_BYTES = 1024 * 1024
"""Limit of an answer; Pwned Passwords sends about 40 KiB with padding (ASVS 13.1.3; chosen)."""

HEADERS = {
    "Accept": "text/plain",
    # So that the size of the answer does not reveal the range to an eavesdropper.
    "Add-Padding": "true",
    "User-Agent": "authserve",
}

_LINE = re.compile(r"([0-9A-F]{35}):([0-9]{1,12})")


class RangeServiceError(Exception):
    """The service did not answer, or its answer is invalid.

    Args:
        reason: words for the operator; they contain nothing of the request.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RangeService:
    """A range service at a fixed address. Safe for threads, and to create before a fork.

    Args:
        url: `https://host/path`, or `http://` for this machine only; the settings verify it.
        tls: a context that trusts other authorities than the system's; None for the system's.
        total_timeout_secs: limit of one request.
    """

    def __init__(
        self,
        url: str,
        *,
        tls: ssl.SSLContext | None = None,
        total_timeout_secs: float = TOTAL_TIMEOUT_SECS,
    ) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port
        self._path = parts.path
        self._timeout_secs = total_timeout_secs
        # The default context verifies the chain and the name, and requires TLS 1.2 or later.
        self._tls = (tls or ssl.create_default_context()) if parts.scheme == "https" else None

    def find_suffixes(self, prefix: str) -> str:
        """Return the rest of every digest that begins with `prefix`.

        Args:
            prefix: five hexadecimal digits.

        Returns:
            35 upper-case hexadecimal digits per line.

        Raises:
            RangeServiceError: no valid answer in time.
        """
        connection = self._connect()
        try:
            return _parse(_ask(connection, f"{self._path}/{prefix}", self._timeout_secs))
        except TimeoutError as error:
            raise RangeServiceError(f"it took longer than {self._timeout_secs:g} s") from error
        except ssl.SSLCertVerificationError as error:
            raise RangeServiceError("its certificate is not good") from error
        except (HTTPException, OSError, ValueError, RuntimeError) as error:
            reason = f"it did not answer as it should ({type(error).__name__})"
            raise RangeServiceError(reason) from error

    def _connect(self) -> "_Connection":
        """Return a connection that opens with its first request."""
        if self._tls is None:
            return _Connection(self._host, self._port, timeout=self._timeout_secs)
        return _TLSConnection(self._host, self._port, timeout=self._timeout_secs, context=self._tls)


class _Connection(HTTPConnection):
    """A connection that another thread can cut at any time.

    A socket's own timeout restarts with every byte, so a server that sends bytes slowly could
    block the thread for ever.
    """

    _is_cut = False
    _handle: socket.socket | None = None

    def connect(self) -> None:
        """Connect.

        Raises:
            TimeoutError: the connection has been cut meanwhile.
        """
        super().connect()
        with _handles:
            if self._is_cut:
                raise TimeoutError
            # TLS takes over the socket, but not this second handle of the same connection.
            self._handle = self.sock.dup()

    def cut(self) -> None:
        """End the request that runs, or that is about to begin."""
        with _handles:
            self._is_cut = True
            if self._handle is not None:
                # The connection may have ended by itself.
                with suppress(OSError):
                    self._handle.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close both handles."""
        super().close()
        with _handles:
            if self._handle is not None:
                self._handle.close()
                self._handle = None


_handles = Lock()
"""Lock for every connection's second handle; held for a system call at most."""


class _TLSConnection(HTTPSConnection, _Connection):
    """A `_Connection` with TLS on top."""


def _ask(connection: _Connection, path: str, timeout_secs: float) -> bytes:
    """Return the body of the answer; send the request on its own thread.

    A DNS look-up cannot be interrupted, so this thread may outlive the request until the system's
    resolver gives up.
    """
    answer: Future[bytes] = Future()
    Thread(target=_fetch, args=(connection, path, answer), daemon=True).start()
    try:
        return answer.result(timeout_secs)
    finally:
        connection.cut()


def _fetch(connection: _Connection, path: str, answer: Future[bytes]) -> None:
    try:
        answer.set_result(_read(connection, path))
    except Exception as error:  # noqa: BLE001 - passed to the waiting caller
        answer.set_exception(error)
    finally:
        connection.close()


def _read(connection: _Connection, path: str) -> bytes:
    connection.request("GET", path, headers=HEADERS)
    with closing(connection.getresponse()) as response:
        if response.status != 200:
            raise RangeServiceError(f"it answered {response.status}")
        if response.length is None and not response.chunked:
            # If only the connection's end marks the answer's end, a truncated one looks complete.
            raise RangeServiceError("it did not say how long its answer is")
        body = response.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise RangeServiceError(f"it answered more than {MAX_BYTES} bytes")
    if response.length:
        raise RangeServiceError("its answer broke off")
    return body


def _parse(body: bytes) -> str:
    suffixes = []
    for line in body.decode("ascii").upper().splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            raise RangeServiceError("what it answered is no range")
        # A count of zero marks a line of padding.
        if int(match[2]):
            suffixes.append(match[1])
    return "\n".join(suffixes)
