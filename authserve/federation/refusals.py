"""The record of a refused identity, and the error that a refusal raises.

It is small because a sign-in and a link share it, and neither imports the other.
"""

import logging

from authserve.core.actor import Actor, RequestInfo
from authserve.core.errors import AuthserveError
from authserve.core.events import AuditAction, Outcome
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.federation.errors import (
    AccountExistsError,
    DomainNotAllowedError,
    IdentityTakenError,
    SignUpClosedError,
)
from authserve.federation.policy import Refusal
from authserve.federation.registry import Provider
from authserve.users.errors import AccountDisabledError

logger = logging.getLogger(__name__)

_ERRORS: dict[Refusal, type[AuthserveError]] = {
    Refusal.DOMAIN_NOT_ALLOWED: DomainNotAllowedError,
    Refusal.ACCOUNT_DISABLED: AccountDisabledError,
    Refusal.ACCOUNT_EXISTS: AccountExistsError,
    Refusal.IDENTITY_TAKEN: IdentityTakenError,
    Refusal.SIGN_UP_CLOSED: SignUpClosedError,
}


def refuse_identity(
    reason: Refusal, *, provider: Provider, actor: Actor, request: RequestInfo
) -> AuthserveError:
    """Audit a refusal, commit, and return the error to raise (ASVS 16.3.1).

    Args:
        provider: the one that has identified the person.
        actor, request: for the audit event.
    """
    details = {"reason": reason, "provider": provider.slug}
    logger.info("sign-in by a provider refused", extra=details)
    with transaction(durable=True):
        emit(
            AuditAction.IDENTITY_SIGN_IN_REFUSED,
            outcome=Outcome.FAILURE,
            actor=actor,
            request=request,
            details=details,
        )
    return _ERRORS[reason]()
