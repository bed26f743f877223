"""Authentication of a client: by its secret, or by its id alone if it can keep none."""

from dataclasses import field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import LargeBinary, Row, String, and_, bindparam, exists, or_, select, update

from authserve.clients.client_secrets import PREFIX
from authserve.clients.kinds import AuthMethod, ClientKind
from authserve.clients.models import Client, ClientSecret
from authserve.clients.registry import RegisteredClient, client_columns, client_of, is_client_id
from authserve.core.crypto import digest
from authserve.core.frozen import frozen
from authserve.core.key_text import is_key_text
from authserve.database.statements import UTCDateTime, table_of
from authserve.database.transactions import execute, read_all, transaction

_CLIENTS, _SECRETS = table_of(Client), table_of(ClientSecret)

USE_INTERVAL = timedelta(minutes=1)
"""Least time between two writes of a `last_used_at` (design)."""

_MOMENT = bindparam("moment", type_=UTCDateTime)

IS_PRESENTED_SECRET = and_(
    _SECRETS.c.client_id == _CLIENTS.c.client_id,
    _SECRETS.c.digest == bindparam("secret_digest", type_=LargeBinary),
    or_(_SECRETS.c.expires_at.is_(None), _SECRETS.c.expires_at > _MOMENT),
)
"""The SQL condition that joins the live secret that a client presents, with `SECRET_COLUMNS`."""

SECRET_COLUMNS = (
    _SECRETS.c.id.label("secret_id"),
    _SECRETS.c.last_used_at.label("secret_used_at"),
)

_FIND = (
    select(*client_columns(), *SECRET_COLUMNS)
    .join_from(_CLIENTS, _SECRETS, IS_PRESENTED_SECRET, isouter=True)
    .where(
        _CLIENTS.c.client_id == bindparam("presented_id", type_=String),
        _CLIENTS.c.deleted_at.is_(None),
    )
)


_FIND_MACHINE = select(*client_columns()).where(
    _CLIENTS.c.client_id == bindparam("presented_id", type_=String),
    _CLIENTS.c.kind == ClientKind.MACHINE.value,
    _CLIENTS.c.enabled,
    _CLIENTS.c.deleted_at.is_(None),
    exists().where(
        _SECRETS.c.client_id == _CLIENTS.c.client_id,
        or_(_SECRETS.c.expires_at.is_(None), _SECRETS.c.expires_at > _MOMENT),
    ),
)


@frozen(kw_only=True)
class ClientCredentials:
    """The id and the secret that a client presents.

    Args:
        secret: None if it presents none.
    """

    client_id: str
    secret: str | None = field(repr=False)

    @property
    def secret_digest(self) -> bytes:
        """The digest by which the secret is found; empty for a text that is no secret."""
        secret = self.secret
        is_secret = secret is not None and is_key_text(secret, PREFIX)
        return digest((secret or "").encode()) if is_secret else b""


def find_authenticated_client(
    credentials: ClientCredentials, *, now: datetime
) -> RegisteredClient | None:
    """Return the client that credentials prove, or None; record its use.

    Returns:
        None if the client is unknown or disabled, or its secret is missing, wrong or expired, or
        it has none but presents one, or it is a proxy, which makes no calls.
    """
    if not is_client_id(credentials.client_id):
        return None
    parameters = {
        "presented_id": credentials.client_id,
        "secret_digest": credentials.secret_digest,
        "moment": now,
    }
    rows = read_all(_FIND, parameters)
    return authenticated_client(rows[0], credentials, now=now) if rows else None


def authenticated_client(
    row: Row[Any], credentials: ClientCredentials, *, now: datetime
) -> RegisteredClient | None:
    """Return the client of a row, or None if the credentials do not prove it.

    Args:
        row: with `client_columns` and `SECRET_COLUMNS`.
    """
    client, secret_id = client_of(row), row.secret_id
    is_proven = {
        AuthMethod.SECRET: secret_id is not None,
        AuthMethod.NONE: credentials.secret is None,
        AuthMethod.INTERNAL: False,
    }[client.configuration.auth_method]
    if not client.configuration.enabled or not is_proven:
        return None
    _record_use(row, now)
    return client


def find_machine(client_id: str, *, now: datetime) -> RegisteredClient | None:
    """Return a machine that could authenticate now, for a check of a token that it has.

    Returns:
        None if it is unknown or disabled, or none of its secrets is live.
    """
    if not is_client_id(client_id):
        return None
    rows = read_all(_FIND_MACHINE, {"presented_id": client_id, "moment": now})
    return client_of(rows[0]) if rows else None


def _record_use(row: Row[Any], now: datetime) -> None:
    """Record the use of a client and of its secret, each at most once per `USE_INTERVAL`."""
    due = now - USE_INTERVAL
    uses = [(_CLIENTS, _CLIENTS.c.client_id == row.client_client_id, row.client_last_used_at)]
    if row.secret_id is not None:
        uses.append((_SECRETS, _SECRETS.c.id == row.secret_id, row.secret_used_at))
    overdue = [(table, is_it) for table, is_it, at in uses if at is None or at <= due]
    if not overdue:
        return
    with transaction():
        for table, is_it in overdue:
            used_at = table.c.last_used_at
            # Another call may have written it since it was read.
            is_due = or_(used_at.is_(None), used_at <= due)
            execute(update(table).where(is_it, is_due).values(last_used_at=now))
