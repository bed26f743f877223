"""Errors of accounts."""

from authserve.core.errors import ConflictError, ForbiddenError, NotFoundError


class EmailTakenError(ConflictError):
    """Another account has this address."""

    code = "email_taken"
    default_detail = "Another account uses this email address."


class UsernameTakenError(ConflictError):
    """Another account has this username."""

    code = "username_taken"
    default_detail = "Another account uses this username."


class RegistrationClosedError(ForbiddenError):
    """Visitors cannot register here; accounts are opened by invitation."""

    code = "registration_closed"
    default_detail = "Accounts are opened by invitation alone."


class AccountsExistError(ConflictError):
    """Accounts exist, so the first administrator cannot be created by a link."""

    code = "accounts_exist"
    default_detail = (
        "There are accounts already. Make one an administrator by `flask users grant NAME admin`."
    )


class UserNotFoundError(NotFoundError):
    """No account has this id, address or username."""

    code = "user_not_found"
    default_detail = "There is no such user."


class AccountDisabledError(ForbiddenError):
    """The proof was right, but the account is deactivated."""

    code = "account_disabled"
    default_detail = "This account is deactivated."


class EmailNotVerifiedError(ForbiddenError):
    """The proof was right, but the address must be verified first."""

    code = "email_not_verified"
    default_detail = "Verify your email address first."


class WrongPasswordError(ForbiddenError):
    """A signed-in user gave a wrong password."""

    code = "wrong_password"
    default_detail = "The password is wrong."


class LastAdminError(ConflictError):
    """The account is the last active administrator, which the service must keep."""

    code = "last_admin"
    default_detail = "This is the last active administrator. Grant the role to another user first."


class OwnAccountError(ConflictError):
    """An administrator's call names the caller's own account; calls under `/users/me` change it."""

    code = "own_account"
    default_detail = "This is your own account. Use the calls under /api/v1/users/me."


class ChangedMeanwhileError(ConflictError):
    """The account changed since the caller read it: `updated_at` is not the expected one."""

    code = "changed_meanwhile"
    default_detail = "This account was changed meanwhile. Read it again."


class AlreadyActiveError(ConflictError):
    """The account is activated already, so its owner cannot be invited."""

    code = "already_active"
    default_detail = "This account has been activated already."
