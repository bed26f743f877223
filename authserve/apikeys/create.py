"""The use case by which a user makes an API key."""

from collections.abc import Collection
from dataclasses import field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, insert, select

from authserve.apikeys.errors import TooManyKeysError
from authserve.apikeys.models import APIKey
from authserve.apikeys.policy import (
    MAX_LIVE_KEYS,
    MAX_SCOPES,
    is_scope,
    permissions_of,
)
from authserve.core.actor import Actor, RequestInfo
from authserve.core.clock import now
from authserve.core.crypto import digest
from authserve.core.errors import ValidationFailedError
from authserve.core.events import AuditAction
from authserve.core.frozen import frozen
from authserve.core.ids import new_id
from authserve.core.key_text import hint_of, new_key_text
from authserve.database.emit import emit
from authserve.database.statements import table_of
from authserve.database.transactions import execute, read_all, transaction
from authserve.mail.notices import describe_request, notify
from authserve.mail.policy import MailKind, plain_name
from authserve.rbac.policy import to_scope
from authserve.sessions.listing import require_live_session
from authserve.settings.model import SETTINGS, EmailVerification
from authserve.users.accounts import User, lock_user
from authserve.users.errors import EmailNotVerifiedError

_KEYS = table_of(APIKey)


@frozen(kw_only=True)
class NewKey:
    """A key that was made just now.

    Args:
        key: its text, which nothing can show again.
        hint: its last letters.
        scopes: sorted.
    """

    id: UUID
    name: str
    key: str = field(repr=False)
    hint: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime


def create_key(
    *,
    name: str,
    scopes: Collection[str],
    expires_in: timedelta,
    actor: Actor,
    request: RequestInfo,
) -> NewKey:
    """Give the actor another key, with a notice by mail.

    The key keeps the level of the actor's session. As long as the key lives, that level decides
    which roles of its owner count.

    Args:
        name: the owner's own, in the form of `fields.DisplayName`.
        scopes: at least one.
        expires_in: from `MIN_LIFETIME` to `MAX_LIFETIME`.
        actor: the owner, in a session.

    Raises:
        ValidationFailedError: a scope is neither `account` nor a permission, or there are none.
        InsufficientPermissionsError, StepUpRequiredError: the owner does not hold a permission.
        EmailNotVerifiedError: the owner has not proven the account's address.
        TooManyKeysError: the owner has `MAX_LIVE_KEYS`.
        SessionRevokedError, TokenExpiredError: the session ended meanwhile.
        UserNotFoundError: the account is gone.
    """
    _require_may_give(actor, scopes)
    with transaction():
        # The lock makes the count exact. Changes that revoke all keys take it too, and end the
        # session, so a key is made before them or not at all.
        owner = lock_user(actor.signed_in_user.id)
        moment = now()
        require_live_session(owner.id, actor.current_session_id, now=moment)
        _require_verified(owner)
        _drop_expired(owner.id, moment)
        if _count(owner.id) >= MAX_LIVE_KEYS:
            raise TooManyKeysError
        made = _make(name, scopes, expires_in, moment)
        _insert(made, owner.id, actor)
        details = {"key_id": str(made.id), "scopes": list(made.scopes)}
        emit(
            AuditAction.API_KEY_CREATED,
            actor=actor,
            subject=actor.signed_in_user,
            request=request,
            details=details,
        )
        values = {"key_name": plain_name(name), **describe_request(request, moment)}
        notify(MailKind.API_KEY_CREATED, owner.email, owner.id, values=values)
    return made


def _require_may_give(actor: Actor, scopes: Collection[str]) -> None:
    """Refuse scopes that no key can have, or that the actor does not hold.

    Raises:
        ValidationFailedError, InsufficientPermissionsError, StepUpRequiredError: see `create_key`.
    """
    if not 1 <= len(set(scopes)) <= MAX_SCOPES:
        raise ValidationFailedError({"scopes": [f"1 to {MAX_SCOPES} scopes."]})
    unknown = sorted(scope for scope in scopes if not is_scope(scope))
    if unknown:
        raise ValidationFailedError({"scopes": [f"Not a scope: {unknown[0]!r}."]})
    actor.require_permissions(permissions_of(scopes))


def _require_verified(owner: User) -> None:
    is_asked = SETTINGS.get().email_verification is not EmailVerification.OFF
    if is_asked and not owner.email_verified:
        raise EmailNotVerifiedError


def _drop_expired(user_id: UUID, moment: datetime) -> None:
    """Delete the expired keys of a user, so that one has at most `MAX_LIVE_KEYS` rows."""
    is_expired = _KEYS.c.expires_at <= moment
    execute(delete(_KEYS).where(_KEYS.c.user_id == user_id, is_expired))


def _count(user_id: UUID) -> int:
    return int(read_all(select(func.count()).where(_KEYS.c.user_id == user_id))[0][0])


def _make(name: str, scopes: Collection[str], expires_in: timedelta, moment: datetime) -> NewKey:
    key = new_key_text(SETTINGS.get().api_key_prefix)
    return NewKey(
        id=new_id(),
        name=name,
        key=key,
        hint=hint_of(key),
        scopes=tuple(sorted(set(scopes))),
        created_at=moment,
        expires_at=moment + expires_in,
    )


def _insert(made: NewKey, user_id: UUID, actor: Actor) -> None:
    values = {
        "id": made.id,
        "user_id": user_id,
        "name": made.name,
        "digest": digest(made.key.encode()),
        "hint": made.hint,
        "scope": to_scope(made.scopes),
        "aal": actor.level,
        "created_at": made.created_at,
        "expires_at": made.expires_at,
    }
    execute(insert(_KEYS), values)
