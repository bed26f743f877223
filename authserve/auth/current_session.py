"""A session that lives, with its user: what every answer with tokens is made of."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from authserve.auth.queries import SignIn, TokenHolder, find_holder, find_sign_in
from authserve.core.clock import now
from authserve.core.crypto import random_bytes
from authserve.core.errors import SessionRevokedError
from authserve.sessions.policy import judge_session
from authserve.sessions.statements import IssuedSession, require_live
from authserve.users.credentials import Credentials


@dataclass(frozen=True, slots=True)
class Device:
    """A device that an account's owner has signed in with.

    Args:
        id: 128 random bits.
        password_version: a new password makes the device unknown again.
    """

    user_id: UUID
    id: str
    password_version: int


def new_device(user_id: UUID, password_version: int) -> Device:
    """A device that was unknown until now."""
    return Device(user_id, random_bytes().hex(), password_version)


def is_device_of(device: Device, credentials: Credentials | None) -> bool:
    """Whether the device is known to this account, by its present password."""
    return credentials is not None and (device.user_id, device.password_version) == (
        credentials.ref.id,
        credentials.password_version,
    )


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session, ready for a pair of tokens.

    Args:
        holder: whom the access token is for.
        device: to be known by at the next sign-in; None where nobody has just signed in.
    """

    session: IssuedSession
    holder: TokenHolder
    device: Device | None = None


def signed_in(
    session: IssuedSession, row: Row[Any] | None, device: Device | None = None
) -> SignedIn:
    """The session with its user as they are now.

    Args:
        row: what `START` or `ROTATION` returned; None where neither ran, and one has to look.

    Raises:
        SessionRevokedError, TokenExpiredError: as `get_live_sign_in` does.
    """
    holder = find_holder(row) if row is not None else get_live_sign_in(session.id).holder
    if holder is None:
        raise SessionRevokedError
    return SignedIn(session, holder, device)


def get_live_sign_in(session_id: UUID) -> SignIn:
    """The session that a token belongs to, its user and their permissions.

    Raises:
        SessionRevokedError: it is unknown or was ended, or its user may not sign in any more.
        TokenExpiredError: one of its limits has passed.
    """
    sign_in = find_sign_in(session_id)
    if sign_in is None or not sign_in.row.is_active:
        raise SessionRevokedError
    require_live(judge_session(sign_in.row, now()))
    return sign_in
