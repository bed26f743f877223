"""The sign-in status: all facts that decide if a user can sign in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from authserve.audit.listing import RecordedFailure, find_last_sign_in_failures
from authserve.outbox.inspect import find_messages_of
from authserve.ratelimit.throttle import find_block_end
from authserve.ratelimit.throttle_keys import identifier_key
from authserve.sessions.listing import count_live_sessions
from authserve.settings.model import SETTINGS, EmailVerification
from authserve.users.accounts import User, get_user, ref_of
from authserve.users.credentials import is_password_disabled
from authserve.verification.requests import topics_of

LAST_FAILURES = 10
LAST_MAILS = 10
"""The failures and the mails to show: as many as fit in one view (chosen)."""


class SignInObstacle(StrEnum):
    """A reason why a user cannot sign in on an unknown device: a closed list."""

    ACCOUNT_DISABLED = "account_disabled"
    EMAIL_NOT_VERIFIED = "email_not_verified"
    NO_PASSWORD = "no_password"
    PASSWORD_DISABLED = "password_disabled"
    THROTTLED = "throttled"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInStatus:
    """A user's sign-in status, as in the contract."""

    can_sign_in: bool
    reasons: Sequence[SignInObstacle]
    is_active: bool
    email_verified: bool
    has_password: bool
    throttled_until: datetime | None
    last_success: datetime | None
    last_failures: Sequence[RecordedFailure]
    live_sessions: int
    mails: Sequence[Row[Any]]


def sign_in_status(user_id: UUID) -> SignInStatus:
    """Return the current sign-in status of a user.

    Raises:
        UserNotFoundError: the account does not exist.
    """
    user = get_user(user_id)
    throttled_until = _throttled_until(user)
    reasons = list(_obstacles(user, throttled_until))
    return SignInStatus(
        can_sign_in=not reasons,
        reasons=reasons,
        is_active=user.is_active,
        email_verified=user.email_verified,
        has_password=user.password_hash is not None,
        throttled_until=throttled_until,
        last_success=user.last_login_at,
        last_failures=find_last_sign_in_failures(ref_of(user), limit=LAST_FAILURES),
        live_sessions=count_live_sessions(user_id),
        mails=find_messages_of(user_id, topics=topics_of(user.email), limit=LAST_MAILS),
    )


def _obstacles(user: User, throttled_until: datetime | None) -> Sequence[SignInObstacle]:
    is_required = SETTINGS.get().email_verification is EmailVerification.REQUIRED
    found = {
        SignInObstacle.ACCOUNT_DISABLED: not user.is_active,
        SignInObstacle.NO_PASSWORD: user.password_hash is None,
        SignInObstacle.PASSWORD_DISABLED: is_password_disabled(user.failed_sign_ins),
        SignInObstacle.EMAIL_NOT_VERIFIED: is_required and not user.email_verified,
        SignInObstacle.THROTTLED: throttled_until is not None,
    }
    return [obstacle for obstacle, is_there in found.items() if is_there]


def _throttled_until(user: User) -> datetime | None:
    """Return the end of the longest block on the user's email address or username, or None.

    Blocks on an IP address or a known device are not found: the client is not known here.
    """
    identifiers = [name for name in (user.email, user.username) if name]
    return find_block_end([identifier_key(name) for name in identifiers])
