"""Hashing and verifying passwords: Argon2id, on one thread per process, for a bounded crowd.

Whoever calls this holds no database connection meanwhile: reading the hash, verifying, and writing
what follows are three steps.
"""

import logging
import os
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, cast

from authserve.core.container import component
from authserve.core.crypto import random_bytes
from authserve.passwords.argon2id import Argon2id
from authserve.passwords.foreign_hashes import ForeignHash, UnusableHashError, parse_hash
from authserve.passwords.policy import normalize_password
from authserve.passwords.queue import MAX_WAIT_SECS, HashingQueue
from authserve.settings.model import PasswordCost

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

_MAX_BYTES = 4096
"""Bytes of a password that is verified at all (chosen; libpass's limit too). The policy's 256 code
points are at most 1,024 bytes."""

_MALFORMED_HASH_ERRORS = (ValueError, TypeError)
"""All that a damaged hash raises (found with 30,000 damaged ones)."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of a password.

    Args:
        is_valid: whether it is the right one.
        replacement_hash: a hash to store in place of the old one, which was made by older
            parameters or in another format. None if it is fine, or if the password is wrong.
    """

    is_valid: bool
    replacement_hash: str | None = field(default=None, repr=False)


_WRONG = Verification(is_valid=False)


class PasswordHasher:
    """Hashes passwords, and verifies them against hashes of any format that we import.

    Safe to share between threads, and to make before a fork: each process starts a hashing thread
    of its own at its first password.

    Args:
        cost: Argon2id's parameters for new hashes; hashes of others are replaced at login.
        niceness: of the hashing thread, 0 to 19, so that token checks go first. Only on Linux,
            where a thread has a niceness of its own.
        queue_size: callers that may wait or run at once, 1 or more.
        max_wait_secs: how long one waits before its turn; after that it is told `busy`.
        on_hashed: told the seconds that each password took, on the hashing thread.
        flask_security_salt: what Flask-Security mixed into imported passwords; empty if nothing.
    """

    def __init__(
        self,
        *,
        cost: PasswordCost,
        niceness: int,
        queue_size: int,
        max_wait_secs: float = MAX_WAIT_SECS,
        on_hashed: Callable[[float], None] | None = None,
        flask_security_salt: str = "",
    ) -> None:
        if queue_size < 1:
            raise ValueError("queue_size must be at least 1")
        self._argon2 = Argon2id(cost)
        self._flask_security_salt = flask_security_salt
        self._dummy_hash = _make_dummy_hash(cost)
        self._niceness = niceness
        self._on_hashed = on_hashed
        self.queue_size = queue_size
        self._max_wait_secs = max_wait_secs
        self._queues: dict[int, HashingQueue] = {}

    def hash(
        self, password: str, *, is_known_caller: bool = False, network: str | None = None
    ) -> str:
        """Hash a password that the policy has accepted, in its NFC form.

        Args:
            password: as sent.
            is_known_caller: whether a valid device token or bearer came along. A quarter of the
                queue is kept for such callers, so that strangers cannot lock them out.
            network: of the caller, which may hold no more places than are free; None: any.

        Returns:
            A PHC string with a random salt, to be stored as it is.

        Raises:
            HasherBusyError: the queue is full, or the turn did not come in time.
        """
        secret = _encode(password)
        return self._run(
            lambda: self._hash_secret(secret), is_known_caller=is_known_caller, network=network
        )

    def verify(
        self,
        password: str,
        stored_hash: str | None,
        *,
        is_known_caller: bool = False,
        network: str | None = None,
    ) -> Verification:
        """Say whether `stored_hash` was made from `password`.

        An account that is missing, has no password, or has a damaged hash costs the same work as
        one of ours with a wrong password, so the time tells nobody which accounts exist.

        Args:
            password: as sent; of any length and content.
            stored_hash: None if there is none to check.
            is_known_caller, network: as for `hash`.

        Raises:
            HasherBusyError: the queue is full, or the turn did not come in time.
        """
        secret = _encode(password)
        return self._run(
            lambda: self._verify_secret(secret, stored_hash),
            is_known_caller=is_known_caller,
            network=network,
        )

    @property
    def waiting(self) -> int:
        """How many callers of this process wait or run right now."""
        return self._queue.waiting

    @property
    def _queue(self) -> HashingQueue:
        # By process id, since a fork takes the queue along but not its thread, and the lock and
        # the count in whatever state they are. An id does not come back while its process lives,
        # and gunicorn's arbiter outlives its workers. setdefault() lets one of two threads win.
        pid = os.getpid()
        return self._queues.get(pid) or self._queues.setdefault(pid, self._make_queue())

    def _make_queue(self) -> HashingQueue:
        return HashingQueue(
            size=self.queue_size, niceness=self._niceness, max_wait_secs=self._max_wait_secs
        )

    def _run(self, work: Callable[[], _T], *, is_known_caller: bool, network: str | None) -> _T:
        on_hashed = self._on_hashed
        timed = work if on_hashed is None else lambda: _time(work, on_hashed)
        return self._queue.run(timed, is_known_caller=is_known_caller, network=network)

    def _hash_secret(self, secret: bytes) -> str:
        return self._argon2.hash(secret)

    def _verify_secret(self, secret: bytes, stored_hash: str | None) -> Verification:
        # No account has so long a password; some libraries refuse them, others take long.
        if stored_hash is None or len(secret) > _MAX_BYTES:
            return self._verify_nothing()
        is_current = self._argon2.is_current(stored_hash)
        try:
            if is_current:
                return Verification(self._argon2.verify(secret, stored_hash))
            is_valid = self._parse(stored_hash).check(secret)
        except UnusableHashError as error:
            # Its reason holds no part of the hash.
            _log.warning("A stored password hash cannot be verified: %s.", error.reason)
            return self._verify_nothing()
        except _MALFORMED_HASH_ERRORS as error:
            # Neither the message nor the traceback is logged: libraries quote the hash in them.
            _log.warning("A stored password hash is malformed (%s).", type(error).__name__)
            return self._verify_nothing()
        return Verification(is_valid, self._hash_secret(secret)) if is_valid else _WRONG

    def _parse(self, stored_hash: str) -> ForeignHash:
        return parse_hash(stored_hash, flask_security_salt=self._flask_security_salt)

    def _verify_nothing(self) -> Verification:
        # Not the caller's password, which may be of any length. The cost is the same.
        self._argon2.verify(b"", self._dummy_hash)
        return _WRONG


def _time(work: Callable[[], _T], tell: Callable[[float], None]) -> _T:
    started_at = time.perf_counter()
    try:
        return work()
    finally:
        tell(time.perf_counter() - started_at)


def _make_dummy_hash(cost: PasswordCost) -> str:
    """A hash of no password at all: salt and tag are random, only the cost of checking it is real.

    So it is there without having been computed, and no password fits it.
    """
    salt, tag = (b64encode(random_bytes(n)).rstrip(b"=").decode() for n in (16, 32))
    parameters = f"m={cost.memory_kib},t={cost.time_cost},p={cost.parallelism}"
    return f"$argon2id$v=19${parameters}${salt}${tag}"


def _encode(password: str) -> bytes:
    # A lone surrogate, which the HTTP edge refuses, must not turn a wrong password into an error.
    return normalize_password(password).encode("utf-8", "surrogatepass")


PASSWORD_HASHER_EXTENSION = "authserve.password_hasher"


def get_password_hasher() -> PasswordHasher:
    """The hasher of the running application."""
    return cast(PasswordHasher, component(PASSWORD_HASHER_EXTENSION))
