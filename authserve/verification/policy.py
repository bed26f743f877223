"""The purposes of one-time links, how long they last, and when one counts."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from authserve.mail.mailer import MailKind


class Purpose(StrEnum):
    """What a link is good for; nothing else."""

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
"""Counted from the moment when the mail is handed over: a mail server that was away for hours
must not have eaten the link up."""

MAIL_KINDS = {
    Purpose.VERIFY_EMAIL: MailKind.VERIFY_EMAIL,
    Purpose.RESET_PASSWORD: MailKind.RESET_PASSWORD,
    Purpose.CHANGE_EMAIL: MailKind.CHANGE_EMAIL,
    Purpose.INVITATION: MailKind.INVITATION,
}

PURPOSES = {kind: purpose for purpose, kind in MAIL_KINDS.items()}

TOKEN_RETENTION = timedelta(days=30)
"""For how long spent and expired tokens stay, so that a late click gets a clear answer (chosen)."""


class TokenTimes(Protocol):
    """The columns of a one-time token by which it is judged."""

    @property
    def expires_at(self) -> datetime:
        """The first moment that is too late."""

    @property
    def used_at(self) -> datetime | None:
        """When it was spent."""

    @property
    def superseded_at(self) -> datetime | None:
        """When a newer one took its place."""


def is_live(token: TokenTimes, now: datetime) -> bool:
    """Whether a token can still be spent."""
    return token.used_at is None and token.superseded_at is None and now < token.expires_at


@dataclass(frozen=True, slots=True)
class Recipient:
    """What decides whether a link may still go out to a user."""

    email: str
    is_active: bool
    email_verified: bool
    is_activated: bool


def is_wanted(purpose: Purpose, recipient: Recipient, *, address: str) -> bool:
    """Whether a link makes sense at the moment of sending.

    Args:
        recipient: the user as they are now.
        address: where the link would go; for all but a change of address it must be the user's.
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
