"""What happens by way of one-time links."""

from dataclasses import dataclass

from authserve.core.events import AuditAction, DomainEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailVerified(DomainEvent):
    """Somebody proved that an account's address is theirs."""

    action = AuditAction.USER_EMAIL_VERIFIED


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailChangeRequested(DomainEvent):
    """A user asked for another address."""

    action = AuditAction.USER_EMAIL_CHANGE_REQUESTED


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailChanged(DomainEvent):
    """An account has another address."""

    action = AuditAction.USER_EMAIL_CHANGED


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationAccepted(DomainEvent):
    """An invited user chose a password."""

    action = AuditAction.USER_INVITATION_ACCEPTED
