"""The apps that a user has allowed or is signed in to, and how their access ends."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select

from authserve.clients.registry import RegisteredClient, find_clients, is_client_id
from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.events import AuditAction
from authserve.core.frozen import frozen
from authserve.database.emit import emit
from authserve.database.statements import table_of
from authserve.database.transactions import execute, read_all, transaction
from authserve.oidc.errors import AppNotFoundError
from authserve.oidc.models import AuthorizationCode, UserConsent
from authserve.sessions.app_sessions import end_sessions_of_apps, find_app_sessions
from authserve.sessions.listing import SessionView
from authserve.sessions.policy import RevokeReason
from authserve.users.accounts import lock_user, ref_of

_CONSENTS, _CODES = table_of(UserConsent), table_of(AuthorizationCode)


@frozen(kw_only=True)
class AuthorizedApp:
    """An app that can use an account.

    Args:
        scopes: those that the user has allowed, and those of the live sessions; sorted.
        granted_at: the time of the first consent; None for the operator's own app.
        last_used_at: the last use of the live sessions; None without one.
        live_sessions: their number.
    """

    client: RegisteredClient
    scopes: tuple[str, ...]
    granted_at: datetime | None
    last_used_at: datetime | None
    live_sessions: int


@frozen()
class _Granted:
    scopes: frozenset[str]
    at: datetime


def list_apps(user_id: UUID) -> list[AuthorizedApp]:
    """Return the apps that a user has allowed or is signed in to, sorted by name."""
    consents, by_client = _find_consents(user_id), _find_sessions(user_id)
    clients = find_clients({*consents, *by_client})
    found = [
        _describe(client, consents.get(client.client_id), by_client.get(client.client_id, []))
        for client in clients
    ]
    return sorted(found, key=_sort_key)


def export_apps(user_id: UUID) -> Iterator[dict[str, Any]]:
    """Yield what `list_apps` finds, for the copy of a user's data."""
    for app in list_apps(user_id):
        yield {
            "client_id": app.client.client_id,
            "name": app.client.configuration.name,
            "scopes": list(app.scopes),
            "granted_at": app.granted_at,
            "last_used_at": app.last_used_at,
            "live_sessions": app.live_sessions,
        }


def _find_consents(user_id: UUID) -> dict[str, _Granted]:
    columns = (_CONSENTS.c.client_id, _CONSENTS.c.scope, _CONSENTS.c.granted_at)
    rows = read_all(select(*columns).where(_CONSENTS.c.user_id == user_id))
    return {row.client_id: _Granted(frozenset(row.scope.split()), row.granted_at) for row in rows}


def _find_sessions(user_id: UUID) -> dict[str, list[SessionView]]:
    by_client: dict[str, list[SessionView]] = {}
    for session in find_app_sessions(user_id):
        by_client.setdefault(session.client_id or "", []).append(session)
    return by_client


def _describe(
    client: RegisteredClient, granted: _Granted | None, sessions: Sequence[SessionView]
) -> AuthorizedApp:
    scopes = set(granted.scopes) if granted is not None else set()
    return AuthorizedApp(
        client=client,
        scopes=tuple(sorted(scopes.union(*(session.scopes for session in sessions)))),
        granted_at=granted.at if granted is not None else None,
        last_used_at=max((session.last_used_at for session in sessions), default=None),
        live_sessions=len(sessions),
    )


def _sort_key(app: AuthorizedApp) -> tuple[str, str]:
    return app.client.configuration.name.casefold(), app.client.client_id


def withdraw_app(user: UserRef, client_id: str, *, actor: Actor, request: RequestInfo) -> None:
    """End the access of an app to an account: the consent, unused codes and sessions.

    Raises:
        AppNotFoundError: the user has neither allowed it nor is signed in to it.
        UserNotFoundError: the account is gone.
    """
    if not is_client_id(client_id):
        raise AppNotFoundError
    with transaction():
        if not _withdraw(user, client_id, actor=actor, request=request):
            raise AppNotFoundError


def withdraw_all_apps(user_id: UUID, /, *, actor: Actor, request: RequestInfo) -> None:
    """End the access of every app to an account; see `withdraw_app`.

    Raises:
        UserNotFoundError: the account is gone.
    """
    with transaction():
        _withdraw(ref_of(lock_user(user_id)), None, actor=actor, request=request)


def _withdraw(user: UserRef, client_id: str | None, *, actor: Actor, request: RequestInfo) -> bool:
    """End the access of an app, or of all of them; return False if there was none.

    The lock on the user's row comes first: a code that is redeemed meanwhile is redeemed before,
    and its session ends here, or after, and then without a consent and without its row.
    """
    lock_user(user.id)
    withdrawn = _delete_consents(user, client_id)
    codes = _delete_unused_codes(user, client_id)
    for each in withdrawn:
        details = {"client_id": each}
        emit(
            AuditAction.CONSENT_REVOKED,
            actor=actor,
            subject=user,
            request=request,
            details=details,
        )
    count = end_sessions_of_apps(
        user, RevokeReason.ENDED_BY_USER, client_id=client_id, actor=actor, request=request
    )
    return bool(withdrawn) or codes > 0 or count > 0


def _delete_consents(user: UserRef, client_id: str | None) -> list[str]:
    statement = delete(_CONSENTS).where(_CONSENTS.c.user_id == user.id)
    if client_id is not None:
        statement = statement.where(_CONSENTS.c.client_id == client_id)
    return sorted(execute(statement.returning(_CONSENTS.c.client_id)).scalars())


def _delete_unused_codes(user: UserRef, client_id: str | None) -> int:
    # A used one gives no access: the session that it made does.
    is_unused = (_CODES.c.user_id == user.id) & _CODES.c.used_at.is_(None)
    statement = delete(_CODES).where(is_unused)
    if client_id is not None:
        statement = statement.where(_CODES.c.client_id == client_id)
    return execute(statement).rowcount
