"""The registry of clients: register, find, list, change, delete, and end all sessions of one.

An actor cannot give a client more than the actor may do. Only the holder of a permission makes it a
client's scope, and only an administrator registers a client that acts without a user's consent.
Otherwise a holder of `clients:write` could act through a client.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Label, Row, delete, select, update

from authserve.clients.claims import rule_document, rule_from_document
from authserve.clients.configuration import ClientChanges, ClientConfiguration, find_faults
from authserve.clients.errors import ClientIdTakenError, ClientNotFoundError
from authserve.clients.kinds import ClientKind
from authserve.clients.models import Client, ClientFailure, ClientSecret, RefusedRedirectURI
from authserve.clients.origins import claim_origins
from authserve.core.actor import Actor, RequestInfo
from authserve.core.clock import now
from authserve.core.container import Slot
from authserve.core.errors import ValidationFailedError
from authserve.core.events import AuditAction
from authserve.core.frozen import frozen
from authserve.core.ids import read_id
from authserve.database.emit import emit
from authserve.database.statements import table_of
from authserve.database.transactions import execute, insert_if_absent, read_all, transaction
from authserve.keys.families import RS256
from authserve.keys.policy import RotationCause
from authserve.keys.rotation import rotate
from authserve.sessions.policy import RevokeReason
from authserve.sessions.revoke import end_sessions_of_client
from authserve.settings.model import SETTINGS

CLIENT_ID_PATTERN = r"^[a-z][a-z0-9-]{1,47}$"
"""Pattern of an id (design)."""

_ID_RULE = "2 to 48 small letters, digits and hyphens, a letter first; no UUID, nor authserve."

RESERVED_IDS = frozenset({"authserve"})
"""`client_id` of the service's own tokens."""

_CLIENTS, _SECRETS, _REFUSED, _FAILURES = map(
    table_of, (Client, ClientSecret, RefusedRedirectURI, ClientFailure)
)

_FIELDS = tuple(field.name for field in fields(ClientConfiguration))

DELETE_UNUSED_CODES = Slot[Callable[[str], None]]("delete_unused_codes")
"""The function that deletes a client's unused codes, which a higher layer keeps."""


@frozen()
class RegisteredClient:
    """A client that is not deleted.

    Args:
        tokens_valid_from: tokens issued before are refused; None if all may be good.
    """

    client_id: str
    configuration: ClientConfiguration
    created_at: datetime
    updated_at: datetime
    last_used_at: datetime | None
    tokens_valid_from: datetime | None


def is_client_id(text: str) -> bool:
    """Return True if a client can have this id; other text is not looked up.

    It is never a UUID, so that the subject of a machine's token cannot be a user's (RFC 9700
    §4.15).
    """
    found = re.fullmatch(CLIENT_ID_PATTERN, text)
    return found is not None and text not in RESERVED_IDS and read_id(text) is None


def register_client(
    client_id: str,
    configuration: ClientConfiguration,
    *,
    actor: Actor,
    request: RequestInfo,
) -> RegisteredClient:
    """Register a client; one with secrets gets its first by `client_secrets.add_secret`.

    Raises:
        ValidationFailedError: a value is not acceptable, or another client has an origin.
        InsufficientPermissionsError, StepUpRequiredError: see `require_may_grant`.
        ClientIdTakenError: another client has or had the id.
    """
    _require_valid(client_id, configuration)
    require_may_grant(actor, configuration)
    moment = now()
    row = {"client_id": client_id, **_columns(configuration)}
    with transaction():
        values = {**row, "created_at": moment, "updated_at": moment}
        if execute(insert_if_absent(Client), values).rowcount != 1:
            raise ClientIdTakenError
        claim_origins(client_id, configuration.origins)
        details = {"client_id": client_id, "kind": configuration.kind.value}
        emit(AuditAction.CLIENT_CREATED, actor=actor, request=request, details=details)
    _make_key_if_needed(configuration, request)
    return get_client(client_id)


def _make_key_if_needed(configuration: ClientConfiguration, request: RequestInfo) -> None:
    """Make the first key for RS256 with the first client that needs it.

    Apps fetch the key set before their first user comes. Without it, the first token makes the key.
    """
    if configuration.signing_alg == RS256.algorithm:
        rotate(RotationCause.DUE, family=RS256, request=request)


def _require_valid(client_id: str, configuration: ClientConfiguration) -> None:
    faults = find_faults(configuration, settings=SETTINGS.get())
    if not is_client_id(client_id):
        faults["client_id"] = [_ID_RULE]
    if faults:
        raise ValidationFailedError(faults)


def require_may_grant(actor: Actor, configuration: ClientConfiguration) -> None:
    """Refuse an actor who lacks a permission that a client has, or a right of administrators.

    Raises:
        InsufficientPermissionsError: the actor lacks it.
        StepUpRequiredError: a second factor would give it.
    """
    if configuration.is_trusted:
        actor.require_everything()
    actor.require_permissions(configuration.permissions)


def find_client(client_id: str) -> RegisteredClient | None:
    """Return a client, disabled ones included; None if there is none of this id."""
    if not is_client_id(client_id):
        return None
    rows = read_all(
        select(*client_columns()).where(
            _CLIENTS.c.client_id == client_id, _CLIENTS.c.deleted_at.is_(None)
        )
    )
    return client_of(rows[0]) if rows else None


def find_clients(client_ids: Collection[str]) -> list[RegisteredClient]:
    """Return those of some clients that are not deleted, disabled ones included."""
    if not client_ids:
        return []
    statement = select(*client_columns()).where(
        _CLIENTS.c.client_id.in_(client_ids), _CLIENTS.c.deleted_at.is_(None)
    )
    return list(map(client_of, read_all(statement)))


def find_names(client_ids: Collection[str]) -> dict[str, str]:
    """Return the names of those of some clients that are not deleted, by their ids."""
    found = find_clients(client_ids)
    return {client.client_id: client.configuration.name for client in found}


def get_client(client_id: str) -> RegisteredClient:
    """Return a client like `find_client`.

    Raises:
        ClientNotFoundError: there is none of this id.
    """
    found = find_client(client_id)
    if found is None:
        raise ClientNotFoundError
    return found


def change_client(
    client_id: str, changes: ClientChanges, *, actor: Actor, request: RequestInfo
) -> RegisteredClient:
    """Change values of a client; what it may do changes at once.

    Args:
        changes: the new values.

    Raises:
        ClientNotFoundError: there is none of this id.
        ValidationFailedError: a value is not acceptable, alone or beside the others.
        InsufficientPermissionsError, StepUpRequiredError: see `require_may_grant`; for the client
            as it was and as it would be. Every actor may disable a client.
    """
    with transaction():
        before = lock_client(client_id).configuration
        after = replace(before, **changes)
        _require_valid(client_id, after)
        if after != replace(before, enabled=False):
            require_may_grant(actor, before)
            require_may_grant(actor, after)
        changed = [name for name in _FIELDS if getattr(before, name) != getattr(after, name)]
        if changed:
            _write(client_id, {**_columns(after), "updated_at": now()})
            if after.origins != before.origins:
                claim_origins(client_id, after.origins)
            details = {"client_id": client_id, "fields": changed}
            emit(AuditAction.CLIENT_CHANGED, actor=actor, request=request, details=details)
    _make_key_if_needed(after, request)
    return get_client(client_id)


def lock_client(client_id: str) -> RegisteredClient:
    """Return a client, locked against other changes until the open transaction ends.

    Raises:
        ClientNotFoundError: there is none of this id.
    """
    statement = select(*client_columns()).where(
        _CLIENTS.c.client_id == client_id, _CLIENTS.c.deleted_at.is_(None)
    )
    rows = read_all(statement.with_for_update()) if is_client_id(client_id) else []
    if not rows:
        raise ClientNotFoundError
    return client_of(rows[0])


def delete_client(client_id: str, *, actor: Actor, request: RequestInfo) -> None:
    """Delete a client, its secrets and its sessions; its id is never used again.

    Raises:
        ClientNotFoundError: there is none of this id.
    """
    with transaction():
        lock_client(client_id)
        for table in (_SECRETS, _FAILURES, _REFUSED):
            execute(delete(table).where(table.c.client_id == client_id))
        claim_origins(client_id, ())
        _write(client_id, {"enabled": False, "deleted_at": now()})
        end_sessions_of_client(client_id, RevokeReason.CLIENT_DELETED, now=now())
        details = {"client_id": client_id}
        emit(AuditAction.CLIENT_DELETED, actor=actor, request=request, details=details)


def revoke_client(client_id: str, *, actor: Actor, request: RequestInfo) -> None:
    """End every session of a client, and refuse all tokens and codes that it has.

    The codes go first: one that is redeemed at the same time is redeemed before, and its session
    ends here, or not at all.

    Raises:
        ClientNotFoundError: there is none of this id.
    """
    delete_unused_codes = DELETE_UNUSED_CODES.find()
    with transaction():
        lock_client(client_id)
        moment = now()
        if delete_unused_codes is not None:
            delete_unused_codes(client_id)
        _write(client_id, {"tokens_valid_from": moment})
        count = end_sessions_of_client(client_id, RevokeReason.ENDED_BY_ADMIN, now=moment)
        details = {"client_id": client_id, "count": count}
        emit(AuditAction.CLIENT_REVOKED, actor=actor, request=request, details=details)


def _write(client_id: str, values: dict[str, Any]) -> None:
    execute(update(_CLIENTS).where(_CLIENTS.c.client_id == client_id).values(values))


def _columns(configuration: ClientConfiguration) -> dict[str, Any]:
    """Return the columns of a client's values; JSON has lists, no tuples."""
    values = {name: getattr(configuration, name) for name in _FIELDS}
    listed = {name: list(value) for name, value in values.items() if isinstance(value, tuple)}
    return {**values, **listed, "claims": list(map(rule_document, configuration.claims))}


def client_columns() -> list[Label[Any]]:
    """Return the columns that `client_of` reads, for statements of `oidc` that join them."""
    return [column.label(f"client_{column.name}") for column in _CLIENTS.c]


def client_of(row: Row[Any]) -> RegisteredClient:
    """Return the client of a row that has `client_columns`."""
    values = {name: getattr(row, f"client_{name}") for name in _FIELDS}
    for name, value in values.items():
        if isinstance(value, list):
            values[name] = tuple(value)
    values["kind"] = ClientKind(row.client_kind)
    values["origins"] = values["origins"] or ()
    values["claims"] = tuple(map(rule_from_document, row.client_claims))
    return RegisteredClient(
        client_id=row.client_client_id,
        configuration=ClientConfiguration(**values),
        created_at=row.client_created_at,
        updated_at=row.client_updated_at,
        last_used_at=row.client_last_used_at,
        tokens_valid_from=row.client_tokens_valid_from,
    )
