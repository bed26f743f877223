"""Revocation of API keys: one, all of a user, or all that are older than a backup."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete

from authserve.apikeys.errors import APIKeyNotFoundError
from authserve.apikeys.models import APIKey
from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.clock import to_rfc3339
from authserve.core.events import AuditAction
from authserve.database.emit import emit
from authserve.database.statements import table_of
from authserve.database.transactions import execute, transaction
from authserve.rbac.assignment import require_may_act_on
from authserve.users.accounts import lock_user, ref_of

_KEYS = table_of(APIKey)


def revoke_key(user: UserRef, key_id: UUID, *, actor: Actor, request: RequestInfo) -> None:
    """Revoke one key of a user; it is refused from now on.

    Raises:
        APIKeyNotFoundError: the user has no such key.
    """
    with transaction():
        is_it = (_KEYS.c.id == key_id) & (_KEYS.c.user_id == user.id)
        if execute(delete(_KEYS).where(is_it)).rowcount != 1:
            raise APIKeyNotFoundError
        details = {"key_id": str(key_id)}
        emit(
            AuditAction.API_KEY_REVOKED,
            actor=actor,
            subject=user,
            request=request,
            details=details,
        )


def revoke_all_keys(user_id: UUID, /, *, actor: Actor, request: RequestInfo) -> int:
    """Revoke all keys of the actor's own account.

    Returns:
        The number of keys, expired ones included.

    Raises:
        UserNotFoundError: the account is gone.
    """
    with transaction():
        # So that a key that is made meanwhile is seen, or refused because its session ended.
        owner = ref_of(lock_user(user_id))
        return _revoke_all(owner, actor=actor, request=request)


def revoke_keys_of_user(user_id: UUID, *, actor: Actor, request: RequestInfo) -> int:
    """Revoke all keys of another user, as an administrator.

    Returns:
        The number of keys, expired ones included.

    Raises:
        UserNotFoundError: there is no such account.
        InsufficientPermissionsError, StepUpRequiredError: the user holds a permission that the
            actor lacks.
    """
    with transaction():
        owner = ref_of(lock_user(user_id))
        require_may_act_on(actor, user_id)
        return _revoke_all(owner, actor=actor, request=request)


def revoke_keys_made_before(moment: datetime, *, actor: Actor, request: RequestInfo) -> int:
    """Revoke the keys of all users that were made before `moment`.

    Use it after restoring a backup, in which revoked keys are good again.

    Returns:
        The number of keys, expired ones included.
    """
    with transaction():
        count = execute(delete(_KEYS).where(_KEYS.c.created_at < moment)).rowcount
        if count:
            details = {"count": count, "made_before": to_rfc3339(moment)}
            emit(AuditAction.API_KEY_REVOKED, actor=actor, request=request, details=details)
    return count


def _revoke_all(user: UserRef, *, actor: Actor, request: RequestInfo) -> int:
    count = execute(delete(_KEYS).where(_KEYS.c.user_id == user.id)).rowcount
    if count:
        details = {"count": count}
        emit(
            AuditAction.API_KEY_REVOKED,
            actor=actor,
            subject=user,
            request=request,
            details=details,
        )
    return count
