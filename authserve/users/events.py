"""What happens to accounts."""

from authserve.core.events import AuditAction, DomainEvent, Outcome


class UserRegistered(DomainEvent):
    """Somebody opened an account for themselves."""

    action = AuditAction.USER_REGISTERED


class RegistrationRepeated(DomainEvent):
    """Somebody tried to open an account with an address that has one; its owner alone is told."""

    action = AuditAction.USER_REGISTRATION_REPEATED
    outcome = Outcome.FAILURE


class UserCreated(DomainEvent):
    """An operator or administrator opened an account for somebody."""

    action = AuditAction.USER_CREATED


class UsersImported(DomainEvent):
    """An operator imported accounts; the details hold how many."""

    action = AuditAction.USERS_IMPORTED


class UserInvited(DomainEvent):
    """An administrator opened an account for somebody, or invited them anew."""

    action = AuditAction.USER_INVITED


class PasswordResetTriggered(DomainEvent):
    """An administrator had a reset link sent; the user's sessions have ended."""

    action = AuditAction.USER_PASSWORD_RESET_TRIGGERED


class ResetLinkMade(DomainEvent):
    """An operator made a reset link to hand over to the user."""

    action = AuditAction.USER_RESET_LINK_MADE


class UserUnlocked(DomainEvent):
    """An operator ended the blocks of the login throttle on a user."""

    action = AuditAction.USER_UNLOCKED


class UserProfileChanged(DomainEvent):
    """A username or display name changed; the details name the fields."""

    action = AuditAction.USER_PROFILE_CHANGED


class UserPasswordChanged(DomainEvent):
    """An account has a new password."""

    action = AuditAction.USER_PASSWORD_CHANGED


class UserPasswordReset(UserPasswordChanged):
    """A new password was set by a mailed link, without the old one."""

    action = AuditAction.USER_PASSWORD_RESET


class PasswordRejected(DomainEvent):
    """Somebody signed in gave a wrong password where theirs was asked for once more."""

    action = AuditAction.SESSION_REAUTHENTICATION_FAILED
    outcome = Outcome.FAILURE


class PasswordDisabled(DomainEvent):
    """Too many wrong passwords in a row: it is switched off for devices that nobody knows."""

    action = AuditAction.USER_PASSWORD_DISABLED
    outcome = Outcome.FAILURE


class UserActivated(DomainEvent):
    """A deactivated account may be used again."""

    action = AuditAction.USER_ACTIVATED


class UserDeactivated(DomainEvent):
    """An account may not be used any more; its sessions end in the same transaction."""

    action = AuditAction.USER_DEACTIVATED


class UserDeleted(DomainEvent):
    """An account is gone, with all that is held on it."""

    action = AuditAction.USER_DELETED
