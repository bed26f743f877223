"""Whether somebody may sign in, decided from what is known of the account."""

from enum import StrEnum

from authserve.settings.model import EmailVerification
from authserve.users.credentials import Credentials


class SignInFailure(StrEnum):
    """Why a sign-in failed, as audit events and the sign-in status tell: a closed list."""

    UNKNOWN_IDENTIFIER = "unknown_identifier"
    NO_PASSWORD = "no_password"
    WRONG_PASSWORD = "wrong_password"
    PASSWORD_DISABLED = "password_disabled"
    ACCOUNT_DISABLED = "account_disabled"
    EMAIL_NOT_VERIFIED = "email_not_verified"


def judge_sign_in(
    credentials: Credentials | None,
    *,
    is_known_device: bool,
    is_password_right: bool,
    verification: EmailVerification,
) -> SignInFailure | None:
    """Judge a sign-in whose password has been checked.

    The state of the account counts only after the right password, so that it tells strangers
    nothing. A password that was switched off is not even checked for them
    (`Credentials.hash_for`), so none is right.

    Returns:
        Why it fails, or None if it may go on.
    """
    if credentials is None:
        return SignInFailure.UNKNOWN_IDENTIFIER
    if credentials.password_hash is None:
        return SignInFailure.NO_PASSWORD
    if credentials.is_password_disabled and not is_known_device:
        return SignInFailure.PASSWORD_DISABLED
    if not is_password_right:
        return SignInFailure.WRONG_PASSWORD
    if not credentials.is_active:
        return SignInFailure.ACCOUNT_DISABLED
    if verification is EmailVerification.REQUIRED and not credentials.email_verified:
        return SignInFailure.EMAIL_NOT_VERIFIED
    return None
