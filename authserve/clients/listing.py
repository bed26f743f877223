"""Lists of clients, for the API, commands, checks, and the sender of logout tokens."""

from collections.abc import Collection, Iterator, Sequence

from sqlalchemy import select

from authserve.clients.models import Client
from authserve.clients.registry import RegisteredClient, client_columns, client_of
from authserve.database.statements import table_of
from authserve.database.transactions import read_all

PAGE_SIZE = 200
"""Clients read per query (chosen)."""

_CLIENTS = table_of(Client)


def page_of_clients(*, limit: int, after: str | None = None) -> Sequence[RegisteredClient]:
    """Return at most `limit` clients, sorted by id, whose ids follow `after`."""
    statement = select(*client_columns()).where(_CLIENTS.c.deleted_at.is_(None))
    if after is not None:
        statement = statement.where(_CLIENTS.c.client_id > after)
    return [
        client_of(row) for row in read_all(statement.order_by(_CLIENTS.c.client_id).limit(limit))
    ]


def all_clients() -> Iterator[RegisteredClient]:
    """Yield every client by id, read in pages."""
    after: str | None = None
    while clients := page_of_clients(limit=PAGE_SIZE, after=after):
        yield from clients
        after = clients[-1].client_id


def find_backchannel_clients(client_ids: Collection[str]) -> frozenset[str]:
    """Return those of some clients that take logout tokens: enabled, with an address for them."""
    statement = select(_CLIENTS.c.client_id).where(
        _CLIENTS.c.client_id.in_(client_ids),
        _CLIENTS.c.backchannel_logout_uri.is_not(None),
        _CLIENTS.c.enabled,
        _CLIENTS.c.deleted_at.is_(None),
    )
    return frozenset(row.client_id for row in read_all(statement))
