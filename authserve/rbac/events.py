"""What happens to roles."""

from dataclasses import dataclass

from authserve.core.events import AuditAction, DomainEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRolesChanged(DomainEvent):
    """A user holds other roles than before; the details name those granted and revoked."""

    action = AuditAction.USER_ROLES_CHANGED
