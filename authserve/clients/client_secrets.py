"""Secrets of clients: two may live at once, so that one can be replaced without an outage."""

from collections.abc import Sequence
from dataclasses import field
from datetime import datetime, timedelta
from operator import attrgetter
from uuid import UUID

from sqlalchemy import delete, func, insert, select

from authserve.clients.configuration import ClientConfiguration
from authserve.clients.errors import (
    ClientSecretNotFoundError,
    NoSecretsError,
    TooManySecretsError,
)
from authserve.clients.kinds import AuthMethod
from authserve.clients.models import ClientSecret
from authserve.clients.registry import (
    RegisteredClient,
    lock_client,
    register_client,
    require_may_grant,
)
from authserve.core.actor import Actor, RequestInfo
from authserve.core.clock import now
from authserve.core.crypto import digest
from authserve.core.events import AuditAction
from authserve.core.frozen import frozen
from authserve.core.ids import new_id
from authserve.core.key_text import hint_of, new_key_text
from authserve.database.emit import emit
from authserve.database.statements import table_of
from authserve.database.transactions import execute, read_all, transaction

PREFIX = "as_cs_"
"""The beginning of every secret, by which scanners of source code know it (design)."""

MAX_LIVE_SECRETS = 2
"""Limits a client's live secrets: the one in use, and its successor (design)."""

_SECRETS = table_of(ClientSecret)


@frozen(kw_only=True)
class SecretView:
    """A secret as lists show it.

    Args:
        hint: its last letters.
        expires_at: None if it does not expire.
    """

    id: UUID
    hint: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


@frozen(kw_only=True)
class NewClient:
    """A client that was just registered.

    Args:
        secret: shown this once; None if its kind has none.
        secrets: as lists show them.
    """

    client: RegisteredClient
    secret: str | None = field(repr=False)
    secrets: Sequence[SecretView]


def register_with_secret(
    client_id: str,
    configuration: ClientConfiguration,
    *,
    actor: Actor,
    request: RequestInfo,
) -> NewClient:
    """Register a client together with its first secret, if its kind has secrets.

    Raises:
        ValidationFailedError, InsufficientPermissionsError, StepUpRequiredError,
            ClientIdTakenError: see `registry.register_client`.
    """
    with transaction():
        client = register_client(client_id, configuration, actor=actor, request=request)
        if configuration.auth_method is not AuthMethod.SECRET:
            return NewClient(client=client, secret=None, secrets=())
        secret, facts = add_secret(client_id, expires_in=None, actor=actor, request=request)
    return NewClient(client=client, secret=secret, secrets=(facts,))


def add_secret(
    client_id: str, *, expires_in: timedelta | None, actor: Actor, request: RequestInfo
) -> tuple[str, SecretView]:
    """Give a client another secret; return it, this once, and what lists will show.

    Args:
        expires_in: None for a secret that does not expire.

    Raises:
        ClientNotFoundError: there is no client of this id.
        NoSecretsError: clients of its kind have none.
        TooManySecretsError: it has `MAX_LIVE_SECRETS`.
        InsufficientPermissionsError, StepUpRequiredError: see `registry.require_may_grant`.
    """
    with transaction():
        configuration = lock_client(client_id).configuration
        require_may_grant(actor, configuration)
        if configuration.auth_method is not AuthMethod.SECRET:
            raise NoSecretsError
        moment = now()
        _drop_expired(client_id, moment)
        if _count(client_id) >= MAX_LIVE_SECRETS:
            raise TooManySecretsError
        secret, facts = _insert(client_id, expires_in, moment)
        details = {"client_id": client_id, "secret_id": str(facts.id)}
        emit(AuditAction.CLIENT_SECRET_CREATED, actor=actor, request=request, details=details)
    return secret, facts


def _drop_expired(client_id: str, moment: datetime) -> None:
    is_expired = _SECRETS.c.expires_at <= moment
    execute(delete(_SECRETS).where(_SECRETS.c.client_id == client_id, is_expired))


def _count(client_id: str) -> int:
    statement = select(func.count()).where(_SECRETS.c.client_id == client_id)
    return int(read_all(statement)[0][0])


def _insert(
    client_id: str, expires_in: timedelta | None, moment: datetime
) -> tuple[str, SecretView]:
    secret = new_key_text(PREFIX)
    facts = SecretView(
        id=new_id(),
        hint=hint_of(secret),
        created_at=moment,
        expires_at=moment + expires_in if expires_in is not None else None,
        last_used_at=None,
    )
    values = {
        "id": facts.id,
        "client_id": client_id,
        "digest": digest(secret.encode()),
        "hint": facts.hint,
        "created_at": facts.created_at,
        "expires_at": facts.expires_at,
    }
    execute(insert(_SECRETS), values)
    return secret, facts


def delete_secret(client_id: str, secret_id: UUID, *, actor: Actor, request: RequestInfo) -> None:
    """Delete a secret; it is refused from now on.

    Raises:
        ClientNotFoundError: there is no client of this id.
        ClientSecretNotFoundError: the client has no such secret.
    """
    with transaction():
        lock_client(client_id)
        is_it = (_SECRETS.c.id == secret_id) & (_SECRETS.c.client_id == client_id)
        if execute(delete(_SECRETS).where(is_it)).rowcount != 1:
            raise ClientSecretNotFoundError
        details = {"client_id": client_id, "secret_id": str(secret_id)}
        emit(AuditAction.CLIENT_SECRET_REVOKED, actor=actor, request=request, details=details)


def list_secrets(client_id: str) -> Sequence[SecretView]:
    """Return a client's secrets, oldest first, expired ones included."""
    return list_secrets_of([client_id])[client_id]


def list_secrets_of(client_ids: Sequence[str]) -> dict[str, list[SecretView]]:
    """Return the secrets of several clients like `list_secrets`, read in one statement."""
    columns = (
        _SECRETS.c.id,
        _SECRETS.c.hint,
        _SECRETS.c.created_at,
        _SECRETS.c.expires_at,
        _SECRETS.c.last_used_at,
    )
    statement = select(_SECRETS.c.client_id, *columns).where(_SECRETS.c.client_id.in_(client_ids))
    found: dict[str, list[SecretView]] = {client_id: [] for client_id in client_ids}
    for row in sorted(read_all(statement), key=attrgetter("id")):
        facts = {column.name: row._mapping[column.name] for column in columns}
        found[row.client_id].append(SecretView(**facts))
    return found
