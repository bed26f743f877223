"""Sessions of browsers: a cookie holds one, without tokens.

The cookie carries the session's id and 256 random bits, of which the row has the digest. No bearer
token belongs to such a session, and no cookie to another kind, so neither opens the other's door.
"""

from dataclasses import field
from datetime import datetime, timedelta
from enum import Enum, auto
from uuid import UUID

from sqlalchemy import update

from authserve.auth.queries import FoundSession, find_session_of_browser
from authserve.core.actor import Actor, RequestInfo
from authserve.core.clock import now
from authserve.core.crypto import digest, is_digest, random_bytes
from authserve.core.frozen import frozen
from authserve.core.levels import Level
from authserve.database.transactions import execute, transaction
from authserve.http.callers import Account
from authserve.sessions.errors import SessionNotFoundError
from authserve.sessions.policy import (
    RevokeReason,
    SessionState,
    check_session,
    is_within_grace,
)
from authserve.sessions.revoke import end_session
from authserve.sessions.statements import TABLE, is_live
from authserve.settings.model import SETTINGS
from authserve.tokens.device import Device, new_device
from authserve.users.password_changes import check_new_password, set_new_password

SECRET_BYTES = 32
"""Length of a cookie's secret: 256 bits; ASVS 7.2.3 requires at least 128."""

ROTATION_GRACE = timedelta(seconds=10)
"""Time for which the secret before a rotation is accepted too: another tab may have sent it before
the new one arrived (design)."""

TOUCH_INTERVAL = timedelta(minutes=5)
"""Least time between two writes of `last_used_at`, unless a tenth of the idle limit is shorter, so
that most page views write nothing (design)."""


@frozen()
class BrowserCookie:
    """The content of a session's cookie."""

    session_id: UUID
    secret: bytes = field(repr=False)


class DeadCookie(Enum):
    """The reasons for which a well-formed cookie holds no session."""

    ENDED = auto()
    """Its session has ended, expired or been deleted; the browser may forget the cookie."""
    OTHER_SECRET = auto()
    """A late answer in a slow tab must not replace the newer cookie, so this one is ignored."""


@frozen()
class BrowserSession:
    """A live session of a browser, with its user.

    Args:
        is_enough: False if the session is below the level that its account needs by now.
        is_remembered: True if the cookie outlives the browser's windows.
        auth_time: the time of the last sign-in or step-up that the cookie's secret has seen.
        amr: the authentication methods (RFC 8176).
        has_password: True if the account has a password.
        activity_seen_at: see `users.models.User`.
    """

    cookie: BrowserCookie
    actor: Actor
    account: Account
    is_enough: bool
    is_remembered: bool
    auth_time: datetime
    amr: tuple[str, ...]
    has_password: bool
    activity_seen_at: datetime | None

    def is_fresh(self, now: datetime, ttl: timedelta) -> bool:
        """Return True if its user gave a proof within `ttl` (ASVS 7.5.1)."""
        return now < self.auth_time + ttl


def find_browser_session(cookie: BrowserCookie, *, now: datetime) -> BrowserSession | DeadCookie:
    """Return the live session of a cookie, or the reason why it holds none; record its use.

    The use is written at most once per `TOUCH_INTERVAL`, which also moves the idle limit.
    """
    found = find_session_of_browser(cookie.session_id)
    if found is None or not found.row.is_active:
        return DeadCookie.ENDED
    is_current = is_digest(found.row.cookie_digest, cookie.secret)
    if not (is_current or _is_former_secret_of(found, cookie.secret, now)):
        return DeadCookie.OTHER_SECRET
    if check_session(found.row, now) is not SessionState.LIVE:
        return DeadCookie.ENDED
    record_use(
        found.row.session_id,
        last_used_at=found.row.last_used_at,
        expires_at=found.row.expires_at,
        is_remembered=found.row.is_remembered,
        now=now,
    )
    need = found.need(SETTINGS.get(), now)
    return BrowserSession(
        cookie=cookie,
        actor=found.actor,
        account=found.account,
        is_enough=found.actor.level >= need,
        is_remembered=found.row.is_remembered,
        auth_time=found.row.auth_time if is_current else _former_auth_time(found),
        amr=tuple(found.row.amr),
        has_password=found.row.has_password,
        activity_seen_at=found.row.activity_seen_at,
    )


def _is_former_secret_of(found: FoundSession, secret: bytes, now: datetime) -> bool:
    row = found.row
    is_recent = is_within_grace(row.cookie_rotated_at, now=now, grace=ROTATION_GRACE)
    return is_recent and is_digest(row.previous_digest, secret)


def _former_auth_time(found: FoundSession) -> datetime:
    """Return the time of a proof that a secret has seen which a later proof replaced.

    A thief of the cookie may wait for that proof, and must not use what it opens (ASVS 7.2.4).
    """
    times: tuple[datetime, ...] = (found.row.auth_time, found.row.started_at)
    return min(times)


def record_use(
    session_id: UUID,
    *,
    last_used_at: datetime,
    expires_at: datetime,
    is_remembered: bool,
    now: datetime,
    idle_ttl: timedelta | None = None,
) -> None:
    """Move `last_used_at` and the idle limit of a cookie's session if the last move is old.

    Of simultaneous uses, one writes; the others find the condition false.

    Args:
        last_used_at, expires_at, is_remembered: of its row.
        idle_ttl: of a proxied application's session; None for a browser's, which has the
            service's.
    """
    idle_ttl = idle_ttl or SETTINGS.get().sso_idle_ttl
    due = now - min(TOUCH_INTERVAL, idle_ttl / 10)
    if last_used_at > due:
        return
    is_due = (TABLE.c.id == session_id) & (TABLE.c.last_used_at <= due)
    values = {"last_used_at": now}
    if not is_remembered:
        values["idle_expires_at"] = min(now + idle_ttl, expires_at)
    with transaction():
        execute(update(TABLE).where(is_due, is_live(now)).values(values))


def rotate_cookie(cookie: BrowserCookie, *, now: datetime) -> BrowserCookie | None:
    """Give a browser's session a new secret, in the open transaction, and return its cookie.

    Called when the session gains rights or its user gave a proof (ASVS 7.2.4).

    Returns:
        None if nothing was rotated: another tab has done so, and the browser has that cookie; or
        the session has ended.
    """
    secret = random_bytes(SECRET_BYTES)
    is_current = TABLE.c.cookie_digest == digest(cookie.secret)
    statement = (
        update(TABLE)
        .where(TABLE.c.id == cookie.session_id, is_current, is_live(now))
        .values(
            cookie_digest=digest(secret),
            previous_digest=TABLE.c.cookie_digest,
            cookie_rotated_at=now,
        )
    )
    is_rotated = execute(statement).rowcount == 1
    return BrowserCookie(cookie.session_id, secret) if is_rotated else None


@frozen()
class ChangedPassword:
    """The results of a new password for the browser that set it.

    Args:
        cookie: see `rotate_cookie`.
        device: known at the next sign-in; a new password makes former devices unknown.
    """

    cookie: BrowserCookie | None
    device: Device


def change_password_in_browser(
    session: BrowserSession, *, current_password: str, new_password: str, request: RequestInfo
) -> ChangedPassword:
    """Replace the password of a browser's user as `users.password_changes.change_password` does.

    Every other session ends, and this one gets a new secret.

    Raises:
        AuthserveError: see `change_password`.
    """
    user = session.actor.signed_in_user
    new = check_new_password(
        user,
        current_password=current_password,
        new_password=new_password,
        actor=session.actor,
        request=request,
    )
    with transaction():
        version = set_new_password(user, new, actor=session.actor, request=request)
        cookie = rotate_cookie(session.cookie, now=now())
    has_second_factor = session.actor.level >= Level.AAL2
    return ChangedPassword(
        cookie, new_device(user.id, version, has_second_factor=has_second_factor)
    )


def sign_browser_out(session: BrowserSession, *, request: RequestInfo) -> None:
    """Sign a browser out; a session that has ended meanwhile stays so."""
    end_browser_session(session, RevokeReason.LOGOUT, request=request)


def end_browser_session(
    session: BrowserSession, reason: RevokeReason, *, request: RequestInfo
) -> None:
    """End the session of a browser; one that a simultaneous call has ended stays so."""
    try:
        end_session(
            session.actor.signed_in_user,
            session.cookie.session_id,
            reason,
            actor=session.actor,
            request=request,
        )
    except SessionNotFoundError:
        return
