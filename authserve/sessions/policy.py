"""What a session is at a moment, and what a refresh token is worth to it: decided from the row."""

from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto
from typing import Protocol

MAX_SESSIONS_PER_USER = 50
"""Live sessions of one user; at a further sign-in the oldest ends (ASVS 7.1.2)."""


class RevokeReason(StrEnum):
    """Why a session ended before its time."""

    LOGOUT = "logout"
    LOGOUT_ALL = "logout_all"
    EVICTED = "evicted"
    REUSE_DETECTED = "reuse_detected"
    PASSWORD_CHANGED = "password_changed"
    DEACTIVATED = "deactivated"
    ENDED_BY_USER = "ended_by_user"
    ENDED_BY_ADMIN = "ended_by_admin"


class SessionState(Enum):
    """Whether a session still counts."""

    LIVE = auto()
    REVOKED = auto()
    EXPIRED = auto()


class RefreshVerdict(Enum):
    """What to do with a refresh token of a live session."""

    CURRENT = auto()
    JUST_REPLACED = auto()
    REUSED = auto()


class SessionTimes(Protocol):
    """The columns of a session's row by which it is judged."""

    @property
    def revoked_at(self) -> datetime | None:
        """When it was ended, if it was."""

    @property
    def expires_at(self) -> datetime:
        """The absolute limit; it never moves."""

    @property
    def idle_expires_at(self) -> datetime:
        """The idle limit; every refresh moves it."""


def judge_session(session: SessionTimes, now: datetime) -> SessionState:
    """Judge a session; one that was revoked stays so after its limits have passed.

    A limit is the first moment that is too late.
    """
    if session.revoked_at is not None:
        return SessionState.REVOKED
    if now >= session.expires_at or now >= session.idle_expires_at:
        return SessionState.EXPIRED
    return SessionState.LIVE


def judge_refresh(
    *,
    presented: int,
    current: int,
    rotated_at: datetime | None,
    now: datetime,
    grace: timedelta,
) -> RefreshVerdict:
    """Judge a refresh token by its generation.

    Args:
        presented: the generation in the token.
        current: the generation of the session's row.
        rotated_at: when `current` began; None before the first refresh.
        grace: how long the immediate parent is still answered (RFC 9700 §4.14 leaves room for a
            retry after a lost answer; ASVS 10.4.5).

    Returns:
        REUSED also for a generation ahead of the row: no such token was ever issued, unless the
        database was restored from an older copy.
    """
    if presented == current:
        return RefreshVerdict.CURRENT
    is_parent = presented == current - 1
    if is_parent and rotated_at is not None and now - rotated_at <= grace:
        return RefreshVerdict.JUST_REPLACED
    return RefreshVerdict.REUSED
