"""The reset of an account's second factors by an administrator, for an owner who lost them.

It does not lower what the account needs: `mfa_enabled` stays, so the next sign-in enrols a new
factor, with the password and a code from the mailbox. `MFA_RESET_DELAY` gives the owner time to
cancel a reset by using a factor.
"""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete

from authserve.core.actor import OPERATOR, Actor, RequestInfo, UserRef
from authserve.core.clock import now, to_rfc3339
from authserve.core.events import AuditAction
from authserve.core.frozen import frozen
from authserve.database.emit import emit
from authserve.database.transactions import execute, transaction
from authserve.mail.notices import notify, write_time
from authserve.mail.policy import MailKind
from authserve.mfa.factors import find_factors
from authserve.mfa.models import EmailCode, Passkey, PendingSignIn, RecoveryCode, TotpFactor
from authserve.rbac.assignment import require_may_act_on
from authserve.sessions.policy import RevokeReason
from authserve.sessions.revoke import end_sessions
from authserve.settings.model import SETTINGS
from authserve.users.accounts import lock_user, ref_of
from authserve.users.credentials import Credentials
from authserve.users.errors import OwnAccountError, UserNotFoundError
from authserve.users.mfa_columns import end_mfa_reset, find_due_mfa_resets, schedule_mfa_reset

SLICE = 100
"""Due resets that the worker reads at once (chosen)."""

_DELETED = (TotpFactor, Passkey, RecoveryCode, PendingSignIn, EmailCode)
"""The rows that a reset deletes, in the order in which transactions lock them."""


@frozen(kw_only=True)
class RequestedReset:
    """A reset that was requested.

    Args:
        effective_at: the time at which it takes effect.
        has_factors: True if the account had something to remove at the request.
    """

    effective_at: datetime
    has_factors: bool


def request_reset(user_id: UUID, *, actor: Actor, request: RequestInfo) -> RequestedReset:
    """Reset an account's second factors after `MFA_RESET_DELAY`, or at once without a delay.

    The owner gets a mail at the request, unless it takes effect at once, and when it does. A second
    request does not postpone a pending one.

    Args:
        user_id: the account.
        actor, request: for the audit events.

    Raises:
        OwnAccountError: the account is the actor's own. Owners remove factors with a session of
            two factors; a reset would need less.
        InsufficientPermissionsError: the user holds a permission that the actor lacks.
        UserNotFoundError: the account does not exist.
    """
    if actor.user is not None and actor.user.id == user_id:
        raise OwnAccountError
    moment, delay = now(), SETTINGS.get().mfa_reset_delay
    effective_at = moment + delay
    with transaction():
        account = lock_user(user_id)
        require_may_act_on(actor, user_id)
        user, pending_until = ref_of(account), account.mfa_reset_at
        has_factors = find_factors(user_id).has_any
        if delay and pending_until is not None and pending_until <= effective_at:
            return RequestedReset(effective_at=pending_until, has_factors=has_factors)
        emit(
            AuditAction.MFA_RESET_REQUESTED,
            actor=actor,
            subject=user,
            request=request,
            details={"effective_at": to_rfc3339(effective_at)},
        )
        if delay:
            schedule_mfa_reset(user_id, effective_at)
            _mail("requested", account.email, user_id, effective_at)
        else:
            _reset(user, account.email, effective_at, actor=actor, request=request)
    return RequestedReset(effective_at=effective_at, has_factors=has_factors)


def cancel_reset(account: Credentials, *, actor: Actor, request: RequestInfo) -> None:
    """End a pending reset, because a second factor of the account has just been proven.

    It runs in the open transaction that spends the proof, and sends no statement for an account
    without a pending reset.

    Args:
        account: as read in the same call.
        actor, request: for the audit event.
    """
    if account.mfa_reset_at is None or not end_mfa_reset(account.ref.id):
        return
    emit(AuditAction.MFA_RESET_CANCELLED, actor=actor, subject=account.ref, request=request)
    _mail("cancelled", account.email, account.ref.id, account.mfa_reset_at)


def perform_due_resets() -> Iterator[int]:
    """Perform the resets that are due, each in a transaction of its own, as the worker's job.

    Yields:
        1 for each account whose factors were deleted, 0 for one whose reset was cancelled or
        performed by another worker meanwhile.
    """
    moment = now()
    for user_id in find_due_mfa_resets(due_at=moment, limit=SLICE):
        yield int(_perform(user_id, moment))


def _perform(user_id: UUID, moment: datetime) -> bool:
    with transaction():
        try:
            account = lock_user(user_id)
        except UserNotFoundError:
            return False
        if not end_mfa_reset(user_id, due_at=moment):
            return False
        _reset(ref_of(account), account.email, moment, actor=OPERATOR, request=RequestInfo())
    return True


def _reset(
    user: UserRef, email: str, moment: datetime, *, actor: Actor, request: RequestInfo
) -> None:
    """Delete everything that proves a second factor, and end all sessions.

    The open transaction holds the lock on the user's row.
    """
    end_mfa_reset(user.id)
    for model in _DELETED:
        execute(delete(model).where(model.user_id == user.id))
    emit(AuditAction.MFA_RESET, actor=actor, subject=user, request=request)
    end_sessions(user, RevokeReason.MFA_RESET, actor=actor, request=request)
    _mail("done", email, user.id, moment)


def _mail(state: str, email: str, user_id: UUID, effective_at: datetime) -> None:
    values = {"state": state, "effective_at": write_time(effective_at)}
    notify(MailKind.MFA_RESET, email, user_id, values=values)
