"""What happens to the signing keys."""

from dataclasses import dataclass

from authserve.core.events import AuditAction, DomainEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRotated(DomainEvent):
    """A new signing key was made; the details name it and the cause."""

    action = AuditAction.KEY_ROTATED
