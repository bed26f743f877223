"""What happens by way of one-time links."""

from authserve.core.events import AuditAction, DomainEvent


class EmailVerified(DomainEvent):
    """Somebody proved that an account's address is theirs."""

    action = AuditAction.USER_EMAIL_VERIFIED


class EmailChangeRequested(DomainEvent):
    """A user asked for another address."""

    action = AuditAction.USER_EMAIL_CHANGE_REQUESTED


class EmailChangeWithdrawn(DomainEvent):
    """A user withdrew the change of address that was pending."""

    action = AuditAction.USER_EMAIL_CHANGE_WITHDRAWN


class EmailChanged(DomainEvent):
    """An account has another address."""

    action = AuditAction.USER_EMAIL_CHANGED


class InvitationAccepted(DomainEvent):
    """An invited user chose a password."""

    action = AuditAction.USER_INVITATION_ACCEPTED


class PasswordResetRequested(DomainEvent):
    """A visitor asked for a reset link of an account that exists."""

    action = AuditAction.PASSWORD_RESET_REQUESTED
