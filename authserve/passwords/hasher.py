"""Hashing and verifying passwords: Argon2id, on one thread per process, with a bounded queue.

Callers must hold no database connection meanwhile: reading the hash, verifying the password, and
writing the result are three steps.
"""

import logging
import os
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import field
from typing import TypeVar

from authserve.core.container import Slot
from authserve.core.crypto import random_bytes
from authserve.core.frozen import frozen
from authserve.passwords.argon2id import Argon2id
from authserve.passwords.foreign_hashes import ForeignHash, UnusableHashError, parse_hash
from authserve.passwords.queue import MAX_WAIT_SECS, HashingQueue
from authserve.settings.model import PasswordCost

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

_MAX_BYTES = 4096
"""Longest password that is verified, in bytes (chosen; libpass's limit too). The policy's 256 code
points are at most 1,024 bytes."""

_MALFORMED_HASH_ERRORS = (ValueError, TypeError)
"""The errors that damaged hashes raise (found with 30,000 damaged ones)."""


@frozen()
class Verification:
    """The result of verifying a password.

    Args:
        is_valid: True if the password is correct.
        replacement_hash: a new hash to store, if the old one has other parameters or another
            format. None if the old one is current, or if the password is wrong.
    """

    is_valid: bool
    replacement_hash: str | None = field(default=None, repr=False)


_WRONG = Verification(is_valid=False)


class PasswordHasher:
    """The password hasher; it verifies hashes of every format that can be imported.

    Safe to share between threads, and to create before a fork: each process starts its own
    hashing thread at its first password.

    Args:
        cost: Argon2id's parameters for new hashes; hashes with others are replaced at login.
        niceness: niceness of the hashing thread, 0 to 19, so that token checks go first. Only on
            Linux, where each thread has its own.
        queue_size: most callers that may wait or run at once, 1 or more.
        max_wait_secs: longest wait before the hashing starts; after it the caller gets `busy`.
        limits_networks: False lets each network fill the whole queue (`RATELIMIT_ENABLED`).
        flask_security_salt: the setting `FLASK_SECURITY_SALT`, the HMAC key of hashes imported
            from Flask-Security; empty if not set.

    Attributes:
        on_hashed: if set, called on the hashing thread with the seconds that each password took.
    """

    def __init__(
        self,
        *,
        cost: PasswordCost,
        niceness: int,
        queue_size: int,
        max_wait_secs: float = MAX_WAIT_SECS,
        limits_networks: bool = True,
        flask_security_salt: str = "",
    ) -> None:
        if queue_size < 1:
            raise ValueError("queue_size must be at least 1")
        self._argon2 = Argon2id(cost)
        self._flask_security_salt = flask_security_salt
        self._dummy_hash = _make_dummy_hash(cost)
        self._niceness = niceness
        self.on_hashed: Callable[[float], None] | None = None
        self.queue_size = queue_size
        self._max_wait_secs = max_wait_secs
        self._limits_networks = limits_networks
        self._queues: dict[int, HashingQueue] = {}

    def hash(
        self, password: str, *, is_known_caller: bool = False, network: str | None = None
    ) -> str:
        """Hash a password that the policy has accepted.

        Args:
            password: in NFC, as `http.fields.Password` loads it.
            is_known_caller: True if the request has a valid device token or bearer token. A
                quarter of the queue is reserved for such callers, so that other clients cannot
                lock them out.
            network: the caller's network, which may hold no more places than are free; None
                means no such limit.

        Returns:
            A PHC string with a random salt, to be stored as it is.

        Raises:
            HasherBusyError: the queue is full, the wait was too long, or memory is short.
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
        """Verify `password` against `stored_hash`.

        A missing account, one without a password, and a damaged hash cost the same work as a
        wrong password for a current hash, so the time does not reveal which accounts exist.

        Args:
            password: in NFC; of any length and content.
            stored_hash: None if the account is missing or has no password.
            is_known_caller, network: as for `hash`.

        Raises:
            HasherBusyError: the queue is full, the wait was too long, or memory is short.
        """
        secret = _encode(password)
        return self._run(
            lambda: self._verify_secret(secret, stored_hash),
            is_known_caller=is_known_caller,
            network=network,
        )

    @property
    def waiting(self) -> int:
        """Number of callers of this process that wait or run now."""
        return self._queue.waiting

    @property
    def _queue(self) -> HashingQueue:
        # One queue per process id: a fork copies the queue without its thread, and the lock and
        # the count in any state. A child never gets the id of its parent, since gunicorn's arbiter
        # outlives its workers. setdefault() lets one of two threads win.
        pid = os.getpid()
        return self._queues.get(pid) or self._queues.setdefault(pid, self._make_queue())

    def _make_queue(self) -> HashingQueue:
        return HashingQueue(
            size=self.queue_size, niceness=self._niceness, max_wait_secs=self._max_wait_secs
        )

    def _run(self, work: Callable[[], _T], *, is_known_caller: bool, network: str | None) -> _T:
        on_hashed = self.on_hashed
        timed = work if on_hashed is None else lambda: _time(work, on_hashed)
        counted = network if self._limits_networks else None
        return self._queue.run(timed, is_known_caller=is_known_caller, network=counted)

    def _hash_secret(self, secret: bytes) -> str:
        return self._argon2.hash(secret)

    def _verify_secret(self, secret: bytes, stored_hash: str | None) -> Verification:
        # No account has such a long password; some libraries refuse it, others take long.
        if stored_hash is None or len(secret) > _MAX_BYTES:
            return self._verify_nothing()
        is_current = self._argon2.is_current(stored_hash)
        try:
            if is_current:
                return Verification(self._argon2.verify(secret, stored_hash))
            is_valid = self._parse(stored_hash).check(secret)
        except UnusableHashError as error:
            # The reason contains no part of the hash.
            _log.warning("A stored password hash cannot be verified: %s.", error.reason)
            return self._verify_nothing()
        except _MALFORMED_HASH_ERRORS as error:
            # Neither message nor traceback is logged, since libraries quote the hash in them.
            _log.warning("A stored password hash is malformed (%s).", type(error).__name__)
            return self._verify_nothing()
        return Verification(is_valid, self._hash_secret(secret)) if is_valid else _WRONG

    def _parse(self, stored_hash: str) -> ForeignHash:
        return parse_hash(stored_hash, flask_security_salt=self._flask_security_salt)

    def _verify_nothing(self) -> Verification:
        # The caller's password may be of any length, so an empty one is verified at the same cost.
        self._argon2.verify(b"", self._dummy_hash)
        return _WRONG


def _time(work: Callable[[], _T], tell: Callable[[float], None]) -> _T:
    started_at = time.perf_counter()
    try:
        return work()
    finally:
        tell(time.perf_counter() - started_at)


def _make_dummy_hash(cost: PasswordCost) -> str:
    """Return a hash that no password matches, with a random salt and tag.

    Only its cost of verification is real; making it needs no hashing.
    """
    salt, tag = (b64encode(random_bytes(n)).rstrip(b"=").decode() for n in (16, 32))
    parameters = f"m={cost.memory_kib},t={cost.time_cost},p={cost.parallelism}"
    return f"$argon2id$v=19${parameters}${salt}${tag}"


def _encode(password: str) -> bytes:
    # A lone surrogate must count as a wrong password, not raise; the HTTP edge refuses it anyway.
    return password.encode("utf-8", "surrogatepass")


PASSWORD_HASHER = Slot[PasswordHasher]("password_hasher")
