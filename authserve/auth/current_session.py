"""The live session with its user, from which tokens are issued."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from authserve.auth.queries import LiveSession, TokenSubject, find_live_session, find_subject
from authserve.core.clock import now
from authserve.core.crypto import random_bytes
from authserve.core.errors import SessionRevokedError
from authserve.sessions.policy import check_session
from authserve.sessions.statements import IssuedSession, require_live
from authserve.users.credentials import Credentials


@dataclass(frozen=True, slots=True)
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


def is_device_of(device: Device, credentials: Credentials | None) -> bool:
    """Return True if the account knows the device since its current password was set."""
    return credentials is not None and (device.user_id, device.password_version) == (
        credentials.ref.id,
        credentials.password_version,
    )


@dataclass(frozen=True, slots=True)
class LoginResult:
    """A session, ready for a pair of tokens.

    Args:
        holder: the user and session that the access token is for.
        device: makes the client known at its next sign-in; None after a refresh.
    """

    session: IssuedSession
    holder: TokenSubject
    device: Device | None = None


def signed_in(
    session: IssuedSession, row: Row[Any] | None, device: Device | None = None
) -> LoginResult:
    """Return the session with the current state of its user.

    Args:
        row: the row that `START` or `ROTATION` returned; None if a refresh rotated nothing, so the
            session must be read.

    Raises:
        SessionRevokedError, TokenExpiredError: see `get_live_sign_in`.
    """
    holder = find_subject(row) if row is not None else get_live_sign_in(session.id).holder
    if holder is None:
        raise SessionRevokedError
    return LoginResult(session, holder, device)


def get_live_sign_in(session_id: UUID) -> LiveSession:
    """Return a live session with its user and their permissions.

    Raises:
        SessionRevokedError: the session is unknown or was ended, or its user is not active.
        TokenExpiredError: its idle or absolute limit has passed.
    """
    sign_in = find_live_session(session_id)
    if sign_in is None or not sign_in.row.is_active:
        raise SessionRevokedError
    require_live(check_session(sign_in.row, now()))
    return sign_in
