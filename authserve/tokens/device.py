"""Device tokens: they make a device known at the next sign-in to its account."""

from datetime import datetime, timedelta
from uuid import UUID

from authserve.core.crypto import random_bytes
from authserve.core.errors import UnauthenticatedError
from authserve.core.frozen import frozen
from authserve.tokens.signing import TokenKind, sign, verify

DEVICE = TokenKind(name="device", header_type="device+jwt", claims=("did", "pv"))

DEVICE_TOKEN_TTL = timedelta(days=180)
"""Lifetime of a device token (contract)."""


@frozen()
class Device:
    """A device that an account's owner has signed in with.

    Args:
        id: 128 random bits, in hexadecimal.
        password_version: a new password makes the device unknown again.
    """

    user_id: UUID
    id: str
    password_version: int


def new_device(user_id: UUID, password_version: int) -> Device:
    """Return a device with a new random id."""
    return Device(user_id, random_bytes().hex(), password_version)


def issue_device_token(device: Device, *, public_url: str, now: datetime) -> str:
    """Return a token that makes this device known at the account's next sign-in."""
    claims = {"sub": str(device.user_id), "did": device.id, "pv": device.password_version}
    expires_at = now + DEVICE_TOKEN_TTL
    return sign(DEVICE, claims, public_url=public_url, issued_at=now, expires_at=expires_at)


def read_device_token(token: str, *, public_url: str, now: datetime) -> Device | None:
    """Return the device of a token; None if it is not valid, which counts as absent."""
    try:
        claims = verify(DEVICE, token, public_url=public_url, now=now)
        return Device(UUID(claims["sub"]), str(claims["did"]), int(claims["pv"]))
    except (UnauthenticatedError, TypeError, ValueError):
        return None
