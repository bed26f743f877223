"""The proof of the mailbox before an account's first factor.

Without it, a stolen password could add a factor that outlives every new password and locks the
owner out for good. The proof is a mailed code (`email_codes.py`), bound to the session or the
pending sign-in that adds the factor; where `EMAIL_VERIFICATION` is off, no mail may be expected to
arrive, and none is asked for.
"""

from uuid import UUID

from authserve.core.actor import Actor, RequestInfo
from authserve.core.errors import ValidationFailedError
from authserve.core.events import AuditAction
from authserve.database.emit import emit
from authserve.mfa.assurance import Factors
from authserve.mfa.email_codes import (
    FoundCode,
    check_enrollment_code,
    request_enrollment_code,
    spend_code,
)
from authserve.mfa.errors import WrongMailedCodeError
from authserve.mfa.switch import Owner
from authserve.settings.model import SETTINGS, EmailVerification
from authserve.users.email_changes import verify_email


def is_mailbox_proof_needed(factors: Factors) -> bool:
    """Return True if a new factor needs a mailed code, because the account has none yet."""
    return not factors.has_any and SETTINGS.get().email_verification is not EmailVerification.OFF


def request_mailbox_proof(owner: Owner, *, bound_to: UUID, request: RequestInfo) -> bool:
    """Mail a code if the account's next factor needs one, in the open transaction.

    Args:
        owner: the account.
        bound_to: the session or pending sign-in that adds the factor.
        request: what the mail names as its origin.

    Returns:
        True if a code is needed.
    """
    is_needed = is_mailbox_proof_needed(owner.factors)
    if is_needed:
        request_enrollment_code(owner.ref, email=owner.email, bound_to=bound_to, request=request)
    return is_needed


def check_mailbox_proof(
    code: str | None, *, user_id: UUID, factors: Factors, bound_to: UUID
) -> FoundCode | None:
    """Count a try of the mailed code and compare it, with no transaction open.

    Args:
        code: as given, if it was.
        user_id: the account.
        factors: what it has; if no code is needed, a given one is ignored.
        bound_to: see `request_mailbox_proof`.

    Returns:
        The code, which `spend_mailbox_proof` takes; None if none is needed.

    Raises:
        ValidationFailedError: a code is needed, and none was given.
        WrongMailedCodeError: the code is wrong, or not valid any more.
    """
    if not is_mailbox_proof_needed(factors):
        return None
    if code is None:
        raise _missing()
    found = check_enrollment_code(code, user_id=user_id, bound_to=bound_to)
    if found is None:
        raise WrongMailedCodeError
    return found


def spend_mailbox_proof(
    owner: Owner, found: FoundCode | None, *, actor: Actor, request: RequestInfo
) -> None:
    """Spend a checked code, in the open transaction; the address counts as verified then.

    Args:
        owner: the account, as it is now.
        found: from `check_mailbox_proof`.
        actor, request: for the audit event.

    Raises:
        ValidationFailedError: a code is needed by now, because the account lost its last factor
            after the check.
        WrongMailedCodeError: the code was spent meanwhile, or the account has another address now.
    """
    if not is_mailbox_proof_needed(owner.factors):
        return
    if found is None:
        raise _missing()
    if found.email != owner.email or not spend_code(found):
        raise WrongMailedCodeError
    if not owner.email_verified:
        verify_email(owner.ref, found.email)
        emit(AuditAction.USER_EMAIL_VERIFIED, actor=actor, subject=owner.ref, request=request)


def _missing() -> ValidationFailedError:
    return ValidationFailedError({"email_code": ["Missing data for required field."]})
