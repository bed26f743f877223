"""Whether a password has appeared in a breach, asked without telling which password it is.

Of its SHA-1 only the first five digits leave this process, shared by one digest in a million
(k-anonymity); the rest is compared here. SHA-1 is what the ranges are made of: it names an entry
of a public list and protects nothing, an exception for interoperability (ASVS 11.4.1).
"""

import hashlib
import logging
import time
from collections.abc import Callable
from functools import lru_cache
from typing import cast

from authserve.core.breakers import Breaker, BreakerOpenError
from authserve.core.container import component
from authserve.passwords.policy import normalize_password
from authserve.passwords.range_service import RangeService, RangeServiceError

logger = logging.getLogger(__name__)

PREFIX_LENGTH = 5

MAX_RANGES = 32
RANGE_LIFETIME_SECS = 3_600
"""A range takes about 30 KiB of memory, and is kept for those who send the same password again
after another fault of their form; for no longer than an hour (chosen)."""

BREAKER_FAILURES = 3
BREAKER_RESET_SECS = 30.0
"""Three in a row, then one look-up in 30 s: a service that hangs costs few people a second
(chosen)."""

KNOWN_TO_ALL = "password"
"""Any list of breached passwords has it: whether it is found shows whether a service is one."""


class BreachedPasswords:
    """Looks passwords up, or does nothing. Safe for threads, and to make before a fork.

    Args:
        service: who is asked; None to ask nobody.
        monotonic: seconds that only grow.
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
        # It keeps no failures, and its lock is free while somebody asks.
        self._find_range = lru_cache(maxsize=MAX_RANGES)(self._ask)

    def contains(self, password: str) -> bool:
        """Whether a password is known to be breached.

        A service that does not answer within a second, or not as it should, keeps nobody from a
        password: that is logged, without the password or anything made of it.

        Args:
            password: text that the policy has accepted. Nobody may hold a database connection
                meanwhile.
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
        """Whether the service knows the most common of all passwords; whatever it said before.

        Raises:
            RangeServiceError: it does not answer, or not as it should.
            RuntimeError: there is none to ask.
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
    """The part that is told, and the part that is not."""
    data = normalize_password(password).encode()
    digest = hashlib.sha1(data, usedforsecurity=False).hexdigest().upper()
    return digest[:PREFIX_LENGTH], digest[PREFIX_LENGTH:]


BREACHED_PASSWORDS_EXTENSION = "authserve.breached_passwords"


def get_breached_passwords() -> BreachedPasswords:
    """What the running application asks."""
    return cast(BreachedPasswords, component(BREACHED_PASSWORDS_EXTENSION))
