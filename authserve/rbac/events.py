"""Events of roles."""

from authserve.core.events import AuditAction, DomainEvent


class UserRolesChanged(DomainEvent):
    """A change of a user's roles; the details name the roles granted and revoked."""

    action = AuditAction.USER_ROLES_CHANGED


class RoleCreated(DomainEvent):
    """Creation of a role; the details name it and its permissions."""

    action = AuditAction.ROLE_CREATED


class RoleChanged(DomainEvent):
    """A change of a role; the details hold its permissions before and after."""

    action = AuditAction.ROLE_CHANGED


class RoleDeleted(DomainEvent):
    """Deletion of a role."""

    action = AuditAction.ROLE_DELETED
