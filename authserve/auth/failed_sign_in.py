"""The log line and the audit event of a failed sign-in, the same for every way in."""

import logging

from authserve.auth.policy import SignInFailure
from authserve.core.actor import VISITOR, RequestInfo, UserRef
from authserve.core.events import AuditAction, Outcome
from authserve.database.emit import emit

logger = logging.getLogger(__name__)


def audit_failed_sign_in(
    failure: SignInFailure,
    subject: UserRef | None,
    *,
    request: RequestInfo,
    provider: str | None = None,
) -> None:
    """Log a failed sign-in, and audit it in the open transaction (ASVS 16.3.1).

    Args:
        failure: why it failed.
        subject: the account, if there is one.
        request: for the event.
        provider: the slug of the provider that was to open the account.
    """
    logger.info("sign-in failed", extra={"reason": failure})
    emit(
        AuditAction.SESSION_SIGN_IN_FAILED,
        outcome=Outcome.FAILURE,
        actor=VISITOR,
        subject=subject,
        request=request,
        details={"reason": failure} | ({"provider": provider} if provider else {}),
    )
