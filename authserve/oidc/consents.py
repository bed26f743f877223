"""A person's answer to an app's request: consent, or a refusal."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, select

from authserve.clients.registry import RegisteredClient
from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.clock import now
from authserve.core.errors import SessionRevokedError
from authserve.core.events import AuditAction, Outcome
from authserve.database.emit import emit
from authserve.database.statements import table_of
from authserve.database.transactions import dialect_insert, execute, read_all, transaction
from authserve.mail.notices import notify
from authserve.mail.policy import MailKind
from authserve.oidc.models import UserConsent
from authserve.oidc.policy import Consent
from authserve.oidc.queries import to_consent
from authserve.sessions.listing import require_live_session
from authserve.users.accounts import lock_user
from authserve.users.errors import UserNotFoundError

_CONSENTS = table_of(UserConsent)

_FIND = select(_CONSENTS.c.scope).where(
    _CONSENTS.c.user_id == bindparam("owner_id"), _CONSENTS.c.client_id == bindparam("app_id")
)


def find_consent(user_id: UUID, client_id: str) -> Consent | None:
    """Return the consent that a user has given an app; None without one."""
    rows = read_all(_FIND, {"owner_id": user_id, "app_id": client_id})
    return to_consent(rows[0].scope) if rows else None


def give_consent(
    scopes: Collection[str],
    *,
    client: RegisteredClient,
    session_id: UUID,
    actor: Actor,
    request: RequestInfo,
) -> None:
    """Add scopes to what a user allows an app, and notify the user by mail.

    A narrower consent shrinks no earlier one. The operator's own apps need none, so nothing is
    stored for them.

    Args:
        scopes: those that the person has seen.
        client: the app.
        session_id: the browser's session in which the user answers.
        actor: the user.

    Raises:
        SessionRevokedError, TokenExpiredError: the browser's session has ended meanwhile.
    """
    if client.configuration.first_party:
        return
    user, moment = actor.signed_in_user, now()
    with transaction():
        email = _lock_signed_in(user, session_id, now=moment)
        before = find_consent(user.id, client.client_id)
        allowed = before.scopes if before is not None else frozenset()
        if allowed.issuperset(scopes):
            return
        scope = " ".join(sorted(allowed.union(scopes)))
        _write(user.id, client.client_id, scope, moment)
        emit(
            AuditAction.CONSENT_GRANTED,
            actor=actor,
            subject=user,
            request=request,
            details={"client_id": client.client_id, "scope": scope},
        )
        values = {"app": client.configuration.name}
        notify(MailKind.APP_AUTHORIZED, email, user.id, values=values)


def _lock_signed_in(user: UserRef, session_id: UUID, *, now: datetime) -> str:
    """Lock the row of a user whose session is still live; return the user's address."""
    try:
        found = lock_user(user.id)
    except UserNotFoundError as error:
        raise SessionRevokedError from error
    require_live_session(user.id, session_id, now=now)
    return found.email


def _write(user_id: UUID, client_id: str, scope: str, now: datetime) -> None:
    statement = dialect_insert(UserConsent).on_conflict_do_update(
        index_elements=["user_id", "client_id"], set_={"scope": scope}
    )
    values = {"user_id": user_id, "client_id": client_id, "scope": scope, "granted_at": now}
    execute(statement, values)


def refuse_consent(*, client: RegisteredClient, actor: Actor, request: RequestInfo) -> None:
    """Record that a user has refused an app; what was allowed earlier stays allowed."""
    with transaction():
        emit(
            AuditAction.OAUTH_DENIED,
            outcome=Outcome.FAILURE,
            actor=actor,
            subject=actor.signed_in_user,
            request=request,
            details={"client_id": client.client_id},
        )
