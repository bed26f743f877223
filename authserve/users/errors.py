"""What can be wrong with an account."""

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
    """Visitors cannot open accounts here; operators invite people."""

    code = "registration_closed"
    default_detail = "Accounts are opened by invitation alone."


class AccountsExistError(ConflictError):
    """The first administrator cannot be made by a link: there are accounts."""

    code = "accounts_exist"
    default_detail = "There are accounts already: an operator grants the role admin to one of them."


class UserNotFoundError(NotFoundError):
    """No account has this id, address or username."""

    code = "user_not_found"
    default_detail = "There is no such user."


class AccountDisabledError(ForbiddenError):
    """The account exists, the password was right, and an administrator switched it off."""

    code = "account_disabled"
    default_detail = "This account is deactivated."


class EmailNotVerifiedError(ForbiddenError):
    """The password was right, and the address has to be proven first."""

    code = "email_not_verified"
    default_detail = "Verify your email address first."


class WrongPasswordError(ForbiddenError):
    """Somebody signed in gave another password than their own."""

    code = "wrong_password"
    default_detail = "The password is wrong."


class LastAdminError(ConflictError):
    """Somebody has to stay able to administer the service."""

    code = "last_admin"
    default_detail = "This is the last active administrator. Give somebody else the role first."


class OwnAccountError(ConflictError):
    """An administrator's call names the caller's own account, which has calls of its own."""

    code = "own_account"
    default_detail = "This is your own account. Use the calls under /api/v1/users/me."


class ChangedMeanwhileError(ConflictError):
    """The account is not as the caller has seen it: `updated_at` is another than expected."""

    code = "changed_meanwhile"
    default_detail = "This account was changed meanwhile. Read it again."


class AlreadyActiveError(ConflictError):
    """There is nothing to invite to: the account has been activated."""

    code = "already_active"
    default_detail = "This account has been activated already."
