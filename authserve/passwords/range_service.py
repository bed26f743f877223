"""Asking a range service of breached passwords: one short question, and a deadline that holds.

The protocol is that of Pwned Passwords (haveibeenpwned.com/API/v3#PwnedPasswords): the first five
hexadecimal digits of a SHA-1 go out, and the remaining 35 of every digest that begins so come
back. `http.client` does no more than that: no redirect is followed, nothing is tried twice, and no
variable of the environment puts a proxy in between.
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
"""From the look-up of the name to the last byte: somebody waits for it (ASVS 13.1.3; chosen)."""

MAX_BYTES = 1024 * 1024
"""A range of Pwned Passwords has about 40 KiB with its padding (ASVS 13.1.3; chosen)."""

HEADERS = {
    "Accept": "text/plain",
    # So that whoever sees the size of the answer learns nothing of the range.
    "Add-Padding": "true",
    "User-Agent": "authserve",
}

_LINE = re.compile(r"([0-9A-F]{35}):([0-9]{1,12})")


class RangeServiceError(Exception):
    """The service did not answer, or not as it should.

    Args:
        reason: for the operator; it holds nothing of the question.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RangeService:
    """A range service at a fixed address. Safe for threads, and to make before a fork.

    Args:
        url: `https://host/path`, or `http://` to this machine, as the settings have checked.
        tls: trusts other authorities than the system's.
        total_timeout_secs: for one question.
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
        # The default context checks the chain and the name, and speaks TLS 1.2 or later.
        self._tls = (tls or ssl.create_default_context()) if parts.scheme == "https" else None

    def find_suffixes(self, prefix: str) -> str:
        """The digests that begin with `prefix`, without it: 35 digits a line, upper case.

        Args:
            prefix: five hexadecimal digits.

        Raises:
            RangeServiceError: no good answer in time.
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
        """A connection that opens with its first request."""
        if self._tls is None:
            return _Connection(self._host, self._port, timeout=self._timeout_secs)
        return _TLSConnection(self._host, self._port, timeout=self._timeout_secs, context=self._tls)


class _Connection(HTTPConnection):
    """A connection that another thread can cut, whatever it is at.

    A socket's own timeout begins anew with every byte, so a server that sends one every now and
    then could hold its thread for ever.
    """

    _is_cut = False
    _handle: socket.socket | None = None

    def connect(self) -> None:
        """Connect, unless it has been cut meanwhile."""
        super().connect()
        with _handles:
            if self._is_cut:
                raise TimeoutError
            # TLS takes the socket over, but not this second handle of the same connection.
            self._handle = self.sock.dup()

    def cut(self) -> None:
        """End whatever goes on, and whatever was about to begin."""
        with _handles:
            self._is_cut = True
            if self._handle is not None:
                # It may have ended by itself.
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
"""Over every connection's second handle; held for no longer than a call of the system takes."""


class _TLSConnection(HTTPSConnection, _Connection):
    """The same with TLS, which comes on top of what `_Connection` has connected."""


def _ask(connection: _Connection, path: str, timeout_secs: float) -> bytes:
    """The body of the answer.

    On a thread of its own, as nothing else ends the look-up of a name; that thread may outlive
    the question by as long as the system's resolver tries.
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
    except Exception as error:  # noqa: BLE001 - it belongs to whoever waits, if anybody does
        answer.set_exception(error)
    finally:
        connection.close()


def _read(connection: _Connection, path: str) -> bytes:
    connection.request("GET", path, headers=HEADERS)
    with closing(connection.getresponse()) as response:
        if response.status != 200:
            raise RangeServiceError(f"it answered {response.status}")
        if response.length is None and not response.chunked:
            # Where the end of the connection ends the answer, one that was cut off looks whole.
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
        # A count of zero marks a line that is there for the padding alone.
        if int(match[2]):
            suffixes.append(match[1])
    return "\n".join(suffixes)
