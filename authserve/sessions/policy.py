"""State of a session, and validity of its refresh tokens."""

from dataclasses import field
from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto
from typing import Protocol
from uuid import UUID

from authserve.core.errors import SessionRevokedError, TokenExpiredError, UnauthenticatedError
from authserve.core.frozen import frozen
from authserve.core.levels import Level
from authserve.settings.model import Settings

MAX_SESSIONS_PER_USER = 50
"""Greatest number of live sessions of one user; one more sign-in ends the oldest (ASVS 7.1.2).
Those of apps are counted by themselves."""

MAX_SESSIONS_PER_APP = 20
"""Greatest number of live sessions that one app holds of one user; the oldest ends (design)."""

CLIENT_ID_MAX_LENGTH = 48
"""Of the id of a client that holds sessions, in characters (design)."""


class SessionKind(StrEnum):
    """The holder of a session: an API client, a cookie, an app, or a proxied application."""

    API = "api"
    BROWSER = "browser"
    APP = "app"
    PROXY = "proxy"


UNREMEMBERED_TTL = timedelta(days=1)
"""Absolute limit of a browser's session whose user did not ask to be kept signed in (NIST SP
800-63B-4 §2.2.3 recommends at most 24 hours at AAL2)."""


@frozen(kw_only=True)
class SessionTerms:
    """The holder and the limits of a new session.

    Args:
        cookie_digest: of the secret of a browser's cookie; None for other kinds.
        is_remembered: True if the user asked to be kept signed in.
    """

    kind: SessionKind
    expires_at: datetime
    idle_expires_at: datetime
    cookie_digest: bytes | None = field(default=None, repr=False)
    is_remembered: bool = False


def api_terms(settings: Settings, now: datetime) -> SessionTerms:
    """Return the terms of an API client's session."""
    expires_at = now + settings.session_ttl
    return SessionTerms(
        kind=SessionKind.API,
        expires_at=expires_at,
        idle_expires_at=min(now + settings.refresh_idle_ttl, expires_at),
    )


def browser_terms(
    cookie_digest: bytes, *, is_remembered: bool, settings: Settings, now: datetime
) -> SessionTerms:
    """Return the terms of a browser's session; a remembered one has no idle limit of its own."""
    expires_at = now + (settings.sso_ttl if is_remembered else UNREMEMBERED_TTL)
    idle_ttl = settings.sso_ttl if is_remembered else settings.sso_idle_ttl
    return SessionTerms(
        kind=SessionKind.BROWSER,
        expires_at=expires_at,
        idle_expires_at=min(now + idle_ttl, expires_at),
        cookie_digest=cookie_digest,
        is_remembered=is_remembered,
    )


@frozen()
class Authentication:
    """The proofs of a session's user, as they were at one time.

    Args:
        level: that they reached.
        amr: their methods (RFC 8176).
        auth_time: the time of the last one.
    """

    level: Level
    amr: tuple[str, ...]
    auth_time: datetime


@frozen(kw_only=True)
class AppTerms:
    """The holder and the limits of a new session of an app or a proxied application.

    Args:
        parent_id: the browser's session in which its user allowed it.
        scopes: what the app may do.
        resource: the audience of its access tokens; None means the issuer.
        is_offline: True if it outlives the browser's session.
        cookie_digest: of the secret of a proxied application's cookie; None for an app.
        authentication: of the user when the app was allowed; None for that of the browser's
            session when the app's starts.
    """

    client_id: str
    parent_id: UUID
    scopes: tuple[str, ...]
    resource: str | None
    is_offline: bool
    expires_at: datetime
    idle_expires_at: datetime
    cookie_digest: bytes | None = field(default=None, repr=False)
    authentication: Authentication | None = None

    @property
    def kind(self) -> SessionKind:
        """The holder: an app has tokens, a proxied application has a cookie."""
        return SessionKind.APP if self.cookie_digest is None else SessionKind.PROXY


class RevokeReason(StrEnum):
    """Reasons for which a session is revoked."""

    LOGOUT = "logout"
    LOGOUT_ALL = "logout_all"
    EVICTED = "evicted"
    REPLACED = "replaced"
    REUSE_DETECTED = "reuse_detected"
    PASSWORD_CHANGED = "password_changed"
    DEACTIVATED = "deactivated"
    MFA_ENABLED = "mfa_enabled"
    FACTOR_REMOVED = "factor_removed"
    MFA_RESET = "mfa_reset"
    ENDED_BY_USER = "ended_by_user"
    ENDED_BY_ADMIN = "ended_by_admin"
    CLIENT_DELETED = "client_deleted"


class SessionState(Enum):
    """State of a session; only a live one is accepted."""

    LIVE = auto()
    REVOKED = auto()
    EXPIRED = auto()


class RefreshVerdict(StrEnum):
    """Verdict on a refresh token of a live session; logs and audit events use these values."""

    CURRENT = "current"
    JUST_REPLACED = "just_replaced"
    REPLACED_EARLIER = "replaced_earlier"
    OLDER_GENERATION = "older_generation"
    GENERATION_AHEAD = "generation_ahead"

    @property
    def is_reuse(self) -> bool:
        """True if the session must end: the token is neither current nor just replaced.

        A generation ahead of the row's was never issued, unless the database was restored from an
        older copy. In both cases token and row disagree, so the session ends.
        """
        return self not in (RefreshVerdict.CURRENT, RefreshVerdict.JUST_REPLACED)


CLOCK_TOLERANCE = timedelta(seconds=30)
"""Greatest difference between two machines' clocks (chosen, as for tokens)."""


class SessionTimes(Protocol):
    """Columns of a session's row that decide its state."""

    @property
    def revoked_at(self) -> datetime | None:
        """Time of the revocation; None without one."""

    @property
    def expires_at(self) -> datetime:
        """Absolute limit; it never changes."""

    @property
    def idle_expires_at(self) -> datetime:
        """Idle limit; every rotation extends it."""


def check_session(session: SessionTimes, now: datetime) -> SessionState:
    """Return the state of a session; a revoked session stays revoked after its limits.

    At a limit (`now == expires_at`) the session is expired.
    """
    if session.revoked_at is not None:
        return SessionState.REVOKED
    if now >= session.expires_at or now >= session.idle_expires_at:
        return SessionState.EXPIRED
    return SessionState.LIVE


REFUSALS: dict[SessionState, type[UnauthenticatedError]] = {
    SessionState.REVOKED: SessionRevokedError,
    SessionState.EXPIRED: TokenExpiredError,
}


def require_live(session: SessionTimes, now: datetime) -> None:
    """Raise the error for a token whose session is not live.

    Raises:
        SessionRevokedError: the session was revoked.
        TokenExpiredError: the session is expired.
    """
    state = check_session(session, now)
    if state is not SessionState.LIVE:
        raise REFUSALS[state]


def is_within_grace(rotated_at: datetime | None, *, now: datetime, grace: timedelta) -> bool:
    """Return True during the grace after a rotation, when the session does not rotate again.

    A rotation further in the future than `CLOCK_TOLERANCE` is not within the grace, so a clock
    that was set back does not extend it.

    Args:
        rotated_at: when the current generation began; None before the first refresh.
        now: from the same clock as `rotated_at`, which another machine may have written.
        grace: length of the grace; its end is included.
    """
    return rotated_at is not None and -CLOCK_TOLERANCE <= now - rotated_at <= grace


def check_refresh(
    *,
    presented: int,
    current: int,
    rotated_at: datetime | None,
    now: datetime,
    grace: timedelta,
) -> RefreshVerdict:
    """Return the verdict on a refresh token, from its generation.

    Args:
        presented: the generation in the token.
        current: the generation of the session's row.
        rotated_at, now: see `is_within_grace`.
        grace: how long the previous generation is still accepted (RFC 9700 §4.14 leaves room for
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
