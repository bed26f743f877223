"""Events of the signing keys."""

from authserve.core.events import AuditAction, DomainEvent


class KeyRotated(DomainEvent):
    """A new signing key was made; the details name it and the cause."""

    action = AuditAction.KEY_ROTATED
