"""The purposes of one-time links, their lifetimes, and when one is live or wanted."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from authserve.core.frozen import frozen
from authserve.mail.policy import MailKind


class Purpose(StrEnum):
    """The one purpose for which a link is accepted."""

    VERIFY_EMAIL = "verify_email"
    RESET_PASSWORD = "reset_password"
    CHANGE_EMAIL = "change_email"
    INVITATION = "invitation"


LIFETIMES = {
    # NIST SP 800-63A-4 §3.8: 24 hours for a confirmation code sent to an address.
    Purpose.VERIFY_EMAIL: timedelta(hours=24),
    # OWASP Forgot Password cheat sheet: short. Chosen: 30 minutes.
    Purpose.RESET_PASSWORD: timedelta(minutes=30),
    Purpose.CHANGE_EMAIL: timedelta(hours=24),
    # ASVS 6.4.1: initial secrets are short-lived. Chosen: an invited person may be away.
    Purpose.INVITATION: timedelta(days=3),
}
"""Lifetime of each link, from the latest try to send its mail: mail delays must not consume the
link's lifetime."""

MAIL_KINDS = {
    Purpose.VERIFY_EMAIL: MailKind.VERIFY_EMAIL,
    Purpose.RESET_PASSWORD: MailKind.RESET_PASSWORD,
    Purpose.CHANGE_EMAIL: MailKind.CHANGE_EMAIL,
    Purpose.INVITATION: MailKind.INVITATION,
}

PURPOSES = {kind: purpose for purpose, kind in MAIL_KINDS.items()}

TOKEN_RETENTION = timedelta(days=30)
"""Time for which rows outlive their tokens' expiry (chosen); users can export them until then."""


class TokenTimes(Protocol):
    """The columns of a one-time token that decide if it is live."""

    @property
    def expires_at(self) -> datetime:
        """The first time at which the token is refused."""

    @property
    def used_at(self) -> datetime | None:
        """The time at which it was spent, or None."""

    @property
    def superseded_at(self) -> datetime | None:
        """The time at which a newer token or another event made it worthless, or None."""


def is_live(token: TokenTimes, now: datetime) -> bool:
    """Return True if a token can still be spent."""
    return token.used_at is None and token.superseded_at is None and now < token.expires_at


@frozen()
class Recipient:
    """The facts about a user that decide if a link may still be sent."""

    email: str
    is_active: bool
    email_verified: bool
    is_activated: bool


def is_wanted(purpose: Purpose, recipient: Recipient, *, address: str) -> bool:
    """Return True if a link still makes sense when it is sent.

    Args:
        recipient: the user's current state.
        address: the address to send to; it must be the user's, except for a change of address.
    """
    if not recipient.is_active:
        return False
    if purpose is Purpose.CHANGE_EMAIL:
        return address != recipient.email
    if address != recipient.email:
        return False
    if purpose is Purpose.VERIFY_EMAIL:
        return not recipient.email_verified
    if purpose is Purpose.INVITATION:
        return not recipient.is_activated
    return True
