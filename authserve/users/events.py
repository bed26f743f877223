"""What happens to accounts."""

from dataclasses import dataclass

from authserve.core.events import AuditAction, DomainEvent, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRegistered(DomainEvent):
    """Somebody opened an account for themselves."""

    action = AuditAction.USER_REGISTERED


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationRepeated(DomainEvent):
    """Somebody tried to open an account with an address that has one; its owner alone is told."""

    action = AuditAction.USER_REGISTRATION_REPEATED
    outcome = Outcome.FAILURE


@dataclass(frozen=True, slots=True, kw_only=True)
class UserCreated(DomainEvent):
    """An operator or administrator opened an account for somebody."""

    action = AuditAction.USER_CREATED


@dataclass(frozen=True, slots=True, kw_only=True)
class UsersImported(DomainEvent):
    """An operator imported accounts; the details hold how many."""

    action = AuditAction.USERS_IMPORTED


@dataclass(frozen=True, slots=True, kw_only=True)
class UserInvited(DomainEvent):
    """An administrator opened an account for somebody, or invited them anew."""

    action = AuditAction.USER_INVITED


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordResetTriggered(DomainEvent):
    """An administrator had a reset link sent; the user's sessions have ended."""

    action = AuditAction.USER_PASSWORD_RESET_TRIGGERED


@dataclass(frozen=True, slots=True, kw_only=True)
class UserProfileChanged(DomainEvent):
    """A username or display name changed; the details name the fields."""

    action = AuditAction.USER_PROFILE_CHANGED


@dataclass(frozen=True, slots=True, kw_only=True)
class UserPasswordChanged(DomainEvent):
    """An account has a new password."""

    action = AuditAction.USER_PASSWORD_CHANGED


@dataclass(frozen=True, slots=True, kw_only=True)
class UserPasswordReset(UserPasswordChanged):
    """A new password was set by a mailed link, without the old one."""

    action = AuditAction.USER_PASSWORD_RESET


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordRejected(DomainEvent):
    """Somebody signed in gave a wrong password where theirs was asked for once more."""

    action = AuditAction.SESSION_REAUTHENTICATION_FAILED
    outcome = Outcome.FAILURE


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordDisabled(DomainEvent):
    """Too many wrong passwords in a row: it is switched off for devices that nobody knows."""

    action = AuditAction.USER_PASSWORD_DISABLED
    outcome = Outcome.FAILURE


@dataclass(frozen=True, slots=True, kw_only=True)
class UserActivated(DomainEvent):
    """A deactivated account may be used again."""

    action = AuditAction.USER_ACTIVATED


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDeactivated(DomainEvent):
    """An account may not be used any more; its sessions end in the same transaction."""

    action = AuditAction.USER_DEACTIVATED


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDeleted(DomainEvent):
    """An account is gone, with all that is held on it."""

    action = AuditAction.USER_DELETED
