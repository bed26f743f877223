"""The check for breached passwords, which does not reveal the password to the service.

Only the first five digits of its SHA-1 leave this process; one digest in a million shares them
(k-anonymity). The rest is compared here. The service's ranges require SHA-1: here it identifies an
entry of a public list and protects nothing, an exception for interoperability (ASVS 11.4.1).

The protocol is that of Pwned Passwords (haveibeenpwned.com/API/v3#PwnedPasswords). The request has
the first five hexadecimal digits of a SHA-1; the answer has the remaining 35 of every digest that
begins with them.
"""

import hashlib
import logging
import re
import time
from collections.abc import Callable
from functools import lru_cache
from typing import cast

from authserve.core.breakers import Breaker, BreakerOpenError
from authserve.core.container import Slot
from authserve.core.deadline import TLSContext, make_tls_context
from authserve.core.outbound import (
    OutboundClient,
    OutboundError,
    OutboundLimits,
    OutboundRequest,
)
from authserve.passwords.policy import normalize_password

TOTAL_TIMEOUT_SECS = 1.0
"""Limit from the DNS look-up to the last byte: a user waits for it (ASVS 13.1.3; chosen)."""

MAX_BYTES = 1024 * 1024
"""Limit of an answer; Pwned Passwords sends about 40 KiB with padding (ASVS 13.1.3; chosen)."""

HEADERS = {
    "Accept": "text/plain",
    # So that the size of the answer does not reveal the range to an eavesdropper.
    "Add-Padding": "true",
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
        self._url = url
        self._limits = OutboundLimits(total_secs=total_timeout_secs, max_bytes=MAX_BYTES)
        if tls is None and url.startswith("https:"):
            # Here, so that workers that are forked later share its memory.
            tls = make_tls_context()
        self._client = OutboundClient(hosts=None, tls=tls)

    def find_suffixes(self, prefix: str) -> str:
        """Return the rest of every digest that begins with `prefix`.

        Args:
            prefix: five hexadecimal digits.

        Returns:
            35 upper-case hexadecimal digits per line.

        Raises:
            RangeServiceError: no valid answer in time.
        """
        request = OutboundRequest(url=f"{self._url}/{prefix}", headers=HEADERS)
        try:
            answer = self._client.send(request, self._limits)
        except OutboundError as error:
            raise RangeServiceError(error.reason) from error
        if answer.status != 200:
            raise RangeServiceError(f"it answered {answer.status}")
        if not answer.has_length:
            # If only the connection's end marks the answer's end, a truncated one looks complete.
            raise RangeServiceError("its answer has no length")
        return _parse(answer.body)


def _parse(body: bytes) -> str:
    suffixes = []
    if not body.isascii():
        raise RangeServiceError("its answer is no range")
    for line in body.decode("ascii").upper().splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            raise RangeServiceError("its answer is no range")
        # A count of zero marks a line of padding.
        if int(match[2]):
            suffixes.append(match[1])
    return "\n".join(suffixes)


logger = logging.getLogger(__name__)

PREFIX_LENGTH = 5

MAX_RANGES = 32
RANGE_LIFETIME_SECS = 3_600
"""Cached ranges, and their lifetime (both chosen). A range takes about 30 KiB of memory. The cache
serves users who send the same password again after another error in their form."""

BREAKER_FAILURES = 3
BREAKER_RESET_SECS = 30.0
"""After three failures in a row, one look-up per 30 s: if the service hangs, few users wait a
second (chosen)."""

KNOWN_TO_ALL = "password"
"""A password that every list of breached passwords has; `check` verifies the service with it."""


class BreachedPasswords:
    """The look-up of breached passwords. Safe for threads, and to create before a fork.

    Args:
        service: the range service; None turns the check off.
        monotonic: a clock in seconds that never goes back.
    """

    def __init__(
        self, service: RangeService | None, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._service = service
        self._monotonic = monotonic
        self.breaker = Breaker(
            "breached_passwords",
            failures=BREAKER_FAILURES,
            reset_secs=BREAKER_RESET_SECS,
            monotonic=monotonic,
        )
        # lru_cache stores no failures, and does not hold its lock during a look-up.
        self._find_range = lru_cache(maxsize=MAX_RANGES)(self._ask)

    def contains(self, password: str) -> bool:
        """Return True if a password is known to be breached.

        If the service fails or takes longer than a second, the password passes. That is logged,
        without the password or anything derived from it.

        Args:
            password: text that the policy has accepted. The caller must hold no database
                connection meanwhile.
        """
        if self._service is None:
            return False
        try:
            return self._look_up(password)
        except BreakerOpenError:
            reason = "it was away a moment ago"
        except RangeServiceError as error:
            reason = error.reason
        logger.warning("breached passwords not checked", extra={"reason": reason})
        return False

    def check(self) -> bool:
        """Return True if the service knows `KNOWN_TO_ALL`; bypasses cache and breaker.

        Raises:
            RangeServiceError: the service does not answer, or its answer is invalid.
            RuntimeError: no service is set.
        """
        if self._service is None:
            raise RuntimeError("no service is set")
        prefix, suffix = _digest_of(KNOWN_TO_ALL)
        return suffix in self._service.find_suffixes(prefix)

    def _look_up(self, password: str) -> bool:
        prefix, suffix = _digest_of(password)
        hour = int(self._monotonic() // RANGE_LIFETIME_SECS)
        return suffix in self._find_range(prefix, hour)

    def _ask(self, prefix: str, _hour: int) -> str:
        service = cast(RangeService, self._service)
        return self.breaker.call(lambda: service.find_suffixes(prefix))


def _digest_of(password: str) -> tuple[str, str]:
    """Return the digits of the SHA-1 that are sent, and those that are not."""
    data = normalize_password(password).encode()
    digest = hashlib.sha1(data, usedforsecurity=False).hexdigest().upper()
    return digest[:PREFIX_LENGTH], digest[PREFIX_LENGTH:]


BREACHED_PASSWORDS = Slot[BreachedPasswords]("breached_passwords")
