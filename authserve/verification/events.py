"""Events of requesting and using one-time links."""

from authserve.core.events import AuditAction, DomainEvent


class EmailVerified(DomainEvent):
    """The verification of an account's address."""

    action = AuditAction.USER_EMAIL_VERIFIED


class EmailChangeRequested(DomainEvent):
    """A user's request for another address."""

    action = AuditAction.USER_EMAIL_CHANGE_REQUESTED


class EmailChangeWithdrawn(DomainEvent):
    """A user's withdrawal of a pending change of address."""

    action = AuditAction.USER_EMAIL_CHANGE_WITHDRAWN


class EmailChanged(DomainEvent):
    """A completed change of an account's address."""

    action = AuditAction.USER_EMAIL_CHANGED


class InvitationAccepted(DomainEvent):
    """The acceptance of an invitation: its user chose a password."""

    action = AuditAction.USER_INVITATION_ACCEPTED


class PasswordResetRequested(DomainEvent):
    """A visitor's request for a reset link of an account that exists."""

    action = AuditAction.PASSWORD_RESET_REQUESTED
