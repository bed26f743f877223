"""Browsers and networks from which users sign in, to distinguish new devices from known ones.

A row keeps browser family and network only in a digest, together with the account. The digest is
not secret: its inputs can be guessed, and sessions store them in clear.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import cache
from uuid import UUID

from sqlalchemy import bindparam, case, exists, select

from authserve.core.actor import RequestInfo
from authserve.core.clock import now
from authserve.core.crypto import digest
from authserve.database.transactions import (
    AnyReturning,
    UTCDateTime,
    db,
    delete_in_slices,
    dialect_insert,
    execute,
    read_all,
    table_of,
)
from authserve.sessions.models import SeenDevice
from authserve.sessions.policy import (
    DEVICE_MEMORY,
    DEVICE_RESOLUTION,
    find_browser_family,
    find_device_network,
)

_TABLE = table_of(SeenDevice)


def record_device(user_id: UUID, request: RequestInfo, *, now: datetime) -> bool:
    """Record the device of a sign-in, in the open transaction, with one statement.

    Returns:
        True if the device is new: no sign-in with it within `DEVICE_MEMORY`.
    """
    parameters = {
        "user_id": user_id,
        "digest": _digest(user_id, request),
        "last_seen_at": now,
        "sightings": 1,
        "forgotten": now - DEVICE_MEMORY,
        "due": now - DEVICE_RESOLUTION,
    }
    row = execute(_record(db.engine.dialect.name), parameters).one_or_none()
    return row is not None and row.sightings == 1


@cache
def _record(_dialect: str) -> AnyReturning:
    """Return a dialect's upsert; it returns no row for a device recorded within a day."""
    insert = dialect_insert(SeenDevice)
    last_seen_at = _TABLE.c.last_seen_at
    is_forgotten = last_seen_at <= bindparam("forgotten", type_=UTCDateTime)
    return insert.on_conflict_do_update(
        index_elements=[_TABLE.c.digest],
        set_={
            "last_seen_at": insert.excluded.last_seen_at,
            "sightings": case((is_forgotten, 1), else_=_TABLE.c.sightings + 1),
        },
        where=last_seen_at <= bindparam("due", type_=UTCDateTime),
    ).returning(_TABLE.c.sightings)


def has_other_devices(user_id: UUID, request: RequestInfo) -> bool:
    """Return True if another device than this one is recorded for the account."""
    others = _TABLE.c.user_id == user_id, _TABLE.c.digest != _digest(user_id, request)
    return bool(read_all(select(exists().where(*others)))[0][0])


def purge_forgotten_devices() -> Iterator[int]:
    """Delete the devices that are no longer known, slice by slice.

    Yields:
        The number of rows that each committed slice deleted.
    """
    is_forgotten = SeenDevice.last_seen_at <= now() - DEVICE_MEMORY
    return delete_in_slices(SeenDevice, SeenDevice.digest, is_forgotten)


def _digest(user_id: UUID, request: RequestInfo) -> bytes:
    family, network = find_browser_family(request.user_agent), find_device_network(request.ip)
    return digest(f"{user_id}\n{family}\n{network}".encode())
