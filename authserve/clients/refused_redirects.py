"""Redirect URIs that requests named and a client does not have, kept so that operators see them.

They are a stranger's text: few are kept, one is written a minute, and they are shown as text.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import LargeBinary, String, Text, delete, exists, literal, select

from authserve.clients.models import RefusedRedirectURI
from authserve.core.crypto import digest
from authserve.core.frozen import frozen
from authserve.database.statements import UTCDateTime, table_of
from authserve.database.transactions import dialect_insert, execute, read_all, transaction

MAX_KEPT = 5
"""Limits the texts of a client; the oldest goes (design)."""

WRITE_INTERVAL = timedelta(minutes=1)
"""Least time between two writes for a client (design)."""

_REFUSED = table_of(RefusedRedirectURI)


@frozen(kw_only=True)
class RefusedRedirect:
    """A text that was refused.

    Args:
        last_at: when it was written last; further requests within `WRITE_INTERVAL` are not counted.
        count: number of writes.
    """

    value: str
    last_at: datetime
    count: int


def note_refused_redirect(client_id: str, value: str, *, now: datetime) -> None:
    """Record a redirect URI of a request, unless another was recorded a moment ago.

    Args:
        client_id: an existing client's.
        value: as the request had it.
    """
    is_of_client = _REFUSED.c.client_id == client_id
    recent = exists().where(is_of_client, _REFUSED.c.last_at > now - WRITE_INTERVAL)
    key = digest(value.encode())
    row = select(
        literal(client_id, String),
        literal(key, LargeBinary),
        literal(value, Text),
        literal(now, UTCDateTime),
        literal(now, UTCDateTime),
        literal(1),
    ).where(~recent)
    names = ["client_id", "digest", "value", "first_at", "last_at", "count"]
    insertion = dialect_insert(RefusedRedirectURI).from_select(names, row)
    with transaction():
        written = execute(
            insertion.on_conflict_do_update(
                index_elements=["client_id", "digest"],
                set_={"last_at": now, "count": _REFUSED.c.count + 1},
            )
        ).rowcount
        if written:
            newest = select(_REFUSED.c.digest).where(is_of_client)
            surplus = newest.order_by(_REFUSED.c.last_at.desc()).offset(MAX_KEPT)
            execute(delete(_REFUSED).where(is_of_client, _REFUSED.c.digest.in_(surplus)))


def list_refused_redirects(client_id: str) -> Sequence[RefusedRedirect]:
    """Return the recorded redirect URIs of a client, newest first."""
    columns = (_REFUSED.c.value, _REFUSED.c.last_at, _REFUSED.c.count)
    statement = select(*columns).where(_REFUSED.c.client_id == client_id)
    rows = read_all(statement.order_by(_REFUSED.c.last_at.desc()))
    return [RefusedRedirect(**row._mapping) for row in rows]
