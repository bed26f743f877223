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
        has_second_factor: True once a second factor was proven on it. Only then do its second
            factors have a counter of their own: a password or a mailed link alone makes as many
            devices as its holder likes.
    """

    user_id: UUID
    id: str
    password_version: int
    has_second_factor: bool = False


def new_device(user_id: UUID, password_version: int, *, has_second_factor: bool = False) -> Device:
    """Return a device with a new random id."""
    return Device(user_id, random_bytes().hex(), password_version, has_second_factor)


def issue_device_token(device: Device, *, public_url: str, now: datetime) -> str:
    """Return a token that makes this device known at the account's next sign-in."""
    claims = {"sub": str(device.user_id), "did": device.id, "pv": device.password_version}
    if device.has_second_factor:
        claims["mfa"] = True
    expires_at = now + DEVICE_TOKEN_TTL
    return sign(DEVICE, claims, public_url=public_url, issued_at=now, expires_at=expires_at)


def read_device_token(token: str, *, public_url: str, now: datetime) -> Device | None:
    """Return the device of a token; None if it is not valid, which counts as absent."""
    try:
        claims = verify(DEVICE, token, public_url=public_url, now=now)
        user_id, version = UUID(claims["sub"]), int(claims["pv"])
        return Device(user_id, str(claims["did"]), version, claims.get("mfa") is True)
    except (UnauthenticatedError, TypeError, ValueError):
        return None
