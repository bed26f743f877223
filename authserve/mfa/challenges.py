"""Challenges of passkey ceremonies; a row is stored only when one is redeemed.

A challenge is 16 random bytes, its expiry, and a MAC over both and over what it is for. So none is
valid for another call, session or pending sign-in. Redeeming inserts the random bytes as soon as
the MAC fits, so a challenge gets one answer, accepted or refused (ASVS 6.7.2).
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from authserve.core.clock import now
from authserve.core.crypto import KEYRING, random_bytes
from authserve.core.frozen import frozen
from authserve.database.transactions import (
    delete_in_slices,
    execute,
    insert_if_absent,
    transaction,
)
from authserve.mfa.models import SpentChallenge
from authserve.mfa.policy import PasskeyFault, PasskeyRefusedError

KEY_PURPOSE = "passkey-challenge"

NONCE_BYTES, EXPIRY_BYTES, MAC_BYTES = 16, 8, 32
"""128 random bits (WebAuthn Level 3 §13.4.3), seconds since 1970, and an HMAC-SHA-256."""

CHALLENGE_TTL = timedelta(seconds=300)
"""Lifetime of a challenge, and the browser's timeout: WebAuthn Level 3 §15.1 recommends 5 minutes
or more."""

RETENTION = timedelta(hours=24)
"""Time that a redeemed challenge is kept after its expiry, far longer than any difference between
the machines' clocks: otherwise a machine whose clock is behind would accept it again."""


class ChallengeKind(StrEnum):
    """The uses of a challenge."""

    SIGN_IN = "sign-in"
    VERIFY = "verify"
    REGISTER = "register"
    REAUTHENTICATE = "reauth"


@frozen()
class ChallengeUse:
    """The call that a challenge is for.

    Args:
        subject: the session or the pending sign-in; None at a sign-in with a passkey alone.
    """

    kind: ChallengeKind
    subject: UUID | None = None

    def _message(self, content: bytes) -> bytes:
        subject = b"" if self.subject is None else self.subject.bytes
        return self.kind.encode() + b":" + subject + content

    def mac(self, content: bytes) -> bytes:
        """Return the MAC of a challenge's other bytes."""
        return KEYRING.get().mac(KEY_PURPOSE, self._message(content))

    def is_mac(self, content: bytes, mac: bytes) -> bool:
        """Return True if the MAC is ours, under the current secret or a fallback."""
        return KEYRING.get().is_mac(KEY_PURPOSE, self._message(content), mac)


SIGN_IN = ChallengeUse(ChallengeKind.SIGN_IN)
"""The use of every challenge for a sign-in with a passkey alone."""


def make_challenge(use: ChallengeUse, *, now: datetime) -> bytes:
    """Return a new challenge for one use; it is valid for `CHALLENGE_TTL`."""
    expires_at = int((now + CHALLENGE_TTL).timestamp())
    content = random_bytes(NONCE_BYTES) + expires_at.to_bytes(EXPIRY_BYTES)
    return content + use.mac(content)


def redeem_challenge(challenge: bytes, use: ChallengeUse, *, now: datetime) -> None:
    """Spend a challenge, and commit; of simultaneous callers only one succeeds.

    Raises:
        PasskeyRefusedError: it is not ours, for another use, spent or expired.
        TransactionNestingError: a transaction is open, which could take it back.
    """
    content, mac = challenge[:-MAC_BYTES], challenge[-MAC_BYTES:]
    if len(content) != NONCE_BYTES + EXPIRY_BYTES or not use.is_mac(content, mac):
        raise PasskeyRefusedError(PasskeyFault.CHALLENGE)
    expires_at = datetime.fromtimestamp(int.from_bytes(content[NONCE_BYTES:]), UTC)
    row = {"nonce": content[:NONCE_BYTES], "expires_at": expires_at}
    with transaction(durable=True):
        is_first = execute(insert_if_absent(SpentChallenge), row).rowcount == 1
    if not is_first or expires_at <= now:
        raise PasskeyRefusedError(PasskeyFault.CHALLENGE)


def purge_spent_challenges() -> Iterator[int]:
    """Delete the challenges that expired more than `RETENTION` ago, slice by slice.

    Yields:
        The number of rows that each committed slice deleted.
    """
    is_dead = SpentChallenge.expires_at < now() - RETENTION
    return delete_in_slices(SpentChallenge, SpentChallenge.nonce, is_dead)
