"""The decision if a sign-in may succeed, from the account's state and the password check."""

from enum import StrEnum

from authserve.settings.model import EmailVerification
from authserve.users.credentials import Credentials


class SignInFailure(StrEnum):
    """The reasons for a failed sign-in, in audit events and sign-in status: a closed list."""

    UNKNOWN_IDENTIFIER = "unknown_identifier"
    NO_PASSWORD = "no_password"
    WRONG_PASSWORD = "wrong_password"
    PASSWORD_DISABLED = "password_disabled"
    ACCOUNT_DISABLED = "account_disabled"
    EMAIL_NOT_VERIFIED = "email_not_verified"
    UNKNOWN_PASSKEY = "unknown_passkey"
    PASSKEY_REFUSED = "passkey_refused"
    PASSKEY_FLAGGED = "passkey_flagged"
    WRONG_EMAIL_CODE = "wrong_email_code"
    UNLINKED_IDENTITY = "unlinked_identity"


def check_sign_in(
    credentials: Credentials | None,
    *,
    is_known_device: bool,
    is_password_right: bool,
    verification: EmailVerification,
) -> SignInFailure | None:
    """Return why a sign-in fails after its password was checked, or None if it may succeed.

    `is_active` and `email_verified` count only after a correct password, so that they reveal
    nothing to strangers. For an unknown device a disabled password is not even checked
    (`Credentials.hash_for`), so none is correct.
    """
    if credentials is None:
        return SignInFailure.UNKNOWN_IDENTIFIER
    if credentials.password_hash is None:
        return SignInFailure.NO_PASSWORD
    if credentials.is_password_disabled and not is_known_device:
        return SignInFailure.PASSWORD_DISABLED
    if not is_password_right:
        return SignInFailure.WRONG_PASSWORD
    return check_account(credentials, verification=verification)


def check_account(
    credentials: Credentials, *, verification: EmailVerification
) -> SignInFailure | None:
    """Return why an account may not sign in after a right proof, or None if it may."""
    if not credentials.is_active:
        return SignInFailure.ACCOUNT_DISABLED
    if verification is EmailVerification.REQUIRED and not credentials.email_verified:
        return SignInFailure.EMAIL_NOT_VERIFIED
    return None
