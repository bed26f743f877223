"""The client of a range service of breached passwords, with a strict deadline.

The protocol is that of Pwned Passwords (haveibeenpwned.com/API/v3#PwnedPasswords). The request has
the first five hexadecimal digits of a SHA-1; the answer has the remaining 35 of every digest that
begins with them. `http.client` is used since it follows no redirect, retries nothing, and takes no
proxy from the environment.
"""

import re
import ssl
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from authserve.core.deadline import Deadline, TLSContext, connect, make_tls_context

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
        tls: TLSContext | None = None,
        total_timeout_secs: float = TOTAL_TIMEOUT_SECS,
    ) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._path = parts.path
        self._timeout_secs = total_timeout_secs
        self._tls = (tls or make_tls_context()) if parts.scheme == "https" else None

    def find_suffixes(self, prefix: str) -> str:
        """Return the rest of every digest that begins with `prefix`.

        Args:
            prefix: five hexadecimal digits.

        Returns:
            35 upper-case hexadecimal digits per line.

        Raises:
            RangeServiceError: no valid answer in time.
        """
        deadline = Deadline(self._timeout_secs)
        try:
            with closing(self._open(deadline)) as connection:
                return _parse(_read(connection, f"{self._path}/{prefix}"))
        except TimeoutError as error:
            raise RangeServiceError(f"it took longer than {self._timeout_secs:g} s") from error
        except ssl.SSLCertVerificationError as error:
            raise RangeServiceError("its certificate is not good") from error
        except (HTTPException, OSError, ValueError, RuntimeError) as error:
            reason = f"it did not answer as it should ({type(error).__name__})"
            raise RangeServiceError(reason) from error

    def _open(self, deadline: Deadline) -> HTTPConnection:
        connection = (
            HTTPConnection(self._host, self._port)
            if self._tls is None
            else HTTPSConnection(self._host, self._port, context=self._tls)
        )
        # http.client connects only if there is no socket yet.
        connection.sock = connect(self._host, self._port, deadline, tls=self._tls)
        return connection


def _read(connection: HTTPConnection, path: str) -> bytes:
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
