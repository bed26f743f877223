"""Events of accounts."""

from authserve.core.events import AuditAction, DomainEvent, Outcome


class UserRegistered(DomainEvent):
    """Registration of an account by its owner."""

    action = AuditAction.USER_REGISTERED


class RegistrationRepeated(DomainEvent):
    """Registration with an address that has an account; only the owner is notified."""

    action = AuditAction.USER_REGISTRATION_REPEATED
    outcome = Outcome.FAILURE


class UserCreated(DomainEvent):
    """Creation of an account by an operator or administrator."""

    action = AuditAction.USER_CREATED


class UsersImported(DomainEvent):
    """Import of accounts by an operator; the details hold their number."""

    action = AuditAction.USERS_IMPORTED


class UserInvited(DomainEvent):
    """Invitation of a user by an administrator, for a new account or once more."""

    action = AuditAction.USER_INVITED


class PasswordResetTriggered(DomainEvent):
    """Mailing of a reset link at an administrator's request; the user's sessions have ended."""

    action = AuditAction.USER_PASSWORD_RESET_TRIGGERED


class ResetLinkMade(DomainEvent):
    """Creation of a reset link by an operator, to hand over to the user."""

    action = AuditAction.USER_RESET_LINK_MADE


class UserUnlocked(DomainEvent):
    """End of the login throttle's blocks on a user, by an operator."""

    action = AuditAction.USER_UNLOCKED


class UserProfileChanged(DomainEvent):
    """Change of a username or display name; the details name the fields."""

    action = AuditAction.USER_PROFILE_CHANGED


class UserPasswordChanged(DomainEvent):
    """Change of an account's password."""

    action = AuditAction.USER_PASSWORD_CHANGED


class UserPasswordReset(UserPasswordChanged):
    """Change of a password by a mailed link, without the old password."""

    action = AuditAction.USER_PASSWORD_RESET


class PasswordRejected(DomainEvent):
    """Wrong password of a signed-in user who had to confirm it."""

    action = AuditAction.SESSION_REAUTHENTICATION_FAILED
    outcome = Outcome.FAILURE


class PasswordDisabled(DomainEvent):
    """Disabling of a password for unknown devices, after too many wrong passwords in a row."""

    action = AuditAction.USER_PASSWORD_DISABLED
    outcome = Outcome.FAILURE


class UserActivated(DomainEvent):
    """Activation of a deactivated account."""

    action = AuditAction.USER_ACTIVATED


class UserDeactivated(DomainEvent):
    """Deactivation of an account; its sessions end in the same transaction."""

    action = AuditAction.USER_DEACTIVATED


class UserDeleted(DomainEvent):
    """Deletion of an account with its data."""

    action = AuditAction.USER_DELETED
