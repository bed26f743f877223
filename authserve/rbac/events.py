"""What happens to roles."""

from authserve.core.events import AuditAction, DomainEvent


class UserRolesChanged(DomainEvent):
    """A user holds other roles than before; the details name those granted and revoked."""

    action = AuditAction.USER_ROLES_CHANGED


class RoleCreated(DomainEvent):
    """There is a new role; the details name it and its permissions."""

    action = AuditAction.ROLE_CREATED


class RoleChanged(DomainEvent):
    """A role has another description or other permissions; the details hold both sets."""

    action = AuditAction.ROLE_CHANGED


class RoleDeleted(DomainEvent):
    """A role is gone."""

    action = AuditAction.ROLE_DELETED
