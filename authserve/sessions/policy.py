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


class RefreshVerdict(StrEnum):
    """What a refresh token of a live session is; log and audit trail call it by these names."""

    CURRENT = "current"
    JUST_REPLACED = "just_replaced"
    REPLACED_EARLIER = "replaced_earlier"
    OLDER_GENERATION = "older_generation"
    GENERATION_AHEAD = "generation_ahead"

    @property
    def is_reuse(self) -> bool:
        """Whether the session has to end: the token is not the present one's and was not just so.

        A generation ahead of the row is one that was never issued, unless the database was
        restored from an older copy; either way two holders disagree.
        """
        return self not in (RefreshVerdict.CURRENT, RefreshVerdict.JUST_REPLACED)


CLOCK_TOLERANCE = timedelta(seconds=30)
"""How far two machines' clocks may differ (chosen, as for tokens)."""


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


def is_within_grace(rotated_at: datetime | None, *, now: datetime, grace: timedelta) -> bool:
    """Return True while a session that has rotated does not rotate again.

    A clock that was set back does not make a rotation of an hour ago a recent one: one that lies
    further ahead than `CLOCK_TOLERANCE` is not within the grace.

    Args:
        rotated_at: when the current generation began; None before the first refresh.
        now: by the same clock as `rotated_at`, whichever machine that was written on.
        grace: its end is included.
    """
    return rotated_at is not None and -CLOCK_TOLERANCE <= now - rotated_at <= grace


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
        rotated_at, now: see `is_within_grace`.
        grace: how long the previous generation is still answered (RFC 9700 §4.14 leaves room for
            a retry after a lost answer; ASVS 10.4.5).
    """
    if presented == current:
        return RefreshVerdict.CURRENT
    if presented > current:
        return RefreshVerdict.GENERATION_AHEAD
    if presented < current - 1:
        return RefreshVerdict.OLDER_GENERATION
    if is_within_grace(rotated_at, now=now, grace=grace):
        return RefreshVerdict.JUST_REPLACED
    return RefreshVerdict.REPLACED_EARLIER
