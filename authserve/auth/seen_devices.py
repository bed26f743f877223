"""Browsers and networks from which users sign in, and the mail about a new one (ASVS 6.3.5).

A row keeps browser family and network only in a digest, together with the account. The digest is
not secret: its inputs can be guessed, and sessions store them in clear.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from ipaddress import ip_address, ip_network
from uuid import UUID

from sqlalchemy import bindparam, case, exists, select

from authserve.auth.models import SeenDevice
from authserve.core.actor import RequestInfo
from authserve.core.browsers import find_browser_family
from authserve.core.clock import now
from authserve.core.crypto import digest
from authserve.database.statements import PreparedStatement, UTCDateTime, table_of
from authserve.database.transactions import (
    db,
    delete_in_slices,
    dialect_insert,
    execute_prepared,
    read_all,
)
from authserve.mail.notices import describe_request, notify
from authserve.mail.policy import MailKind
from authserve.outbox.inspect import is_owed_since
from authserve.users.credentials import Credentials

_TABLE = table_of(SeenDevice)

MAIL_INTERVAL = timedelta(days=1)
"""Least time between two of these mails to one account."""

DEVICE_MEMORY = timedelta(days=90)
"""Time for which a device stays known to an account after its last sign-in (design)."""

DEVICE_RESOLUTION = timedelta(days=1)
"""Resolution of a device's last sign-in, so a device's row is written once a day at most
(chosen)."""

_NETWORK_PREFIXES = {4: 24, 6: 48}
"""Prefix lengths, by IP version, of the network within which a device's address may change: a
provider's pool or a site (RFC 6177 §2)."""


def find_device_network(ip: str | None) -> str:
    """Return the /24 (IPv4) or /48 (IPv6) network of a client address; empty without an address."""
    if ip is None:
        return ""
    prefix = _NETWORK_PREFIXES[ip_address(ip).version]
    return str(ip_network((ip, prefix), strict=False))


def recognize_device(
    account: Credentials,
    *,
    is_known_device: bool,
    sends_mail: bool,
    request: RequestInfo,
    now: datetime,
) -> bool:
    """Record the device of a sign-in, in the open transaction; enqueue a mail if it is new.

    The transaction holds the lock on the user's row, so of two simultaneous sign-ins the second
    sees the mail of the first.

    Args:
        account: as read before the sign-in.
        is_known_device: True if the sign-in carried a valid device token of the account.
        sends_mail: False if the operator wants no such mails (`NEW_DEVICE_MAIL`).
        now: the time of the sign-in.

    Returns:
        True unless the device is new to the account (`_is_news`).
    """
    is_recorded = not _record_device(account.ref.id, request, now=now)
    if is_known_device or is_recorded or not _is_news(account, request, now):
        return True
    if sends_mail and not _has_recent_mail(account.ref.id, now):
        notify(
            MailKind.NEW_DEVICE_SIGN_IN,
            account.email,
            account.ref.id,
            values=describe_request(request, now),
        )
    return False


def _is_news(account: Credentials, request: RequestInfo, now: datetime) -> bool:
    """Return False for a first sign-in, and without other recorded devices.

    If the account has a recent sign-in but no other device, devices were not recorded then: by an
    older release, which recorded none with `NEW_DEVICE_MAIL=off`.
    """
    before = account.last_login_at
    if before is None:
        return False
    return before <= now - DEVICE_MEMORY or _has_other_devices(account.ref.id, request)


def _has_recent_mail(user_id: UUID, now: datetime) -> bool:
    return is_owed_since(MailKind.NEW_DEVICE_SIGN_IN, user_id, since=now - MAIL_INTERVAL)


def _record_device(user_id: UUID, request: RequestInfo, *, now: datetime) -> bool:
    """Record the device of a sign-in, in the open transaction, with one statement.

    Returns:
        True if the device is new: no sign-in with it within `DEVICE_MEMORY`.
    """
    parameters = {
        "user_id": user_id,
        "digest": digest_of_device(user_id, request),
        "last_seen_at": now,
        "sightings": 1,
        "forgotten": now - DEVICE_MEMORY,
        "due": now - DEVICE_RESOLUTION,
    }
    rows = execute_prepared(_record(db.engine.dialect.name), parameters)
    return bool(rows) and rows[0].sightings == 1


@cache
def _record(_dialect: str) -> PreparedStatement:
    """Return a dialect's upsert; it returns no row for a device recorded within a day."""
    insert = dialect_insert(SeenDevice)
    last_seen_at = _TABLE.c.last_seen_at
    is_forgotten = last_seen_at <= bindparam("forgotten", type_=UTCDateTime)
    upsert = insert.on_conflict_do_update(
        index_elements=[_TABLE.c.digest],
        set_={
            "last_seen_at": insert.excluded.last_seen_at,
            "sightings": case((is_forgotten, 1), else_=_TABLE.c.sightings + 1),
        },
        where=last_seen_at <= bindparam("due", type_=UTCDateTime),
    ).returning(_TABLE.c.sightings)
    return PreparedStatement(upsert, name="seen_device")


def _has_other_devices(user_id: UUID, request: RequestInfo) -> bool:
    """Return True if another device than this one is recorded for the account."""
    others = _TABLE.c.user_id == user_id, _TABLE.c.digest != digest_of_device(user_id, request)
    return bool(read_all(select(exists().where(*others)))[0][0])


def purge_forgotten_devices() -> Iterator[int]:
    """Delete the devices that are no longer known, slice by slice.

    Yields:
        The number of rows that each committed slice deleted.
    """
    is_forgotten = SeenDevice.last_seen_at <= now() - DEVICE_MEMORY
    return delete_in_slices(SeenDevice, SeenDevice.digest, is_forgotten)


def digest_of_device(user_id: UUID, request: RequestInfo) -> bytes:
    """Return the key of a device's row: the digest of account, browser family and network."""
    family, network = find_browser_family(request.user_agent), find_device_network(request.ip)
    return digest(f"{user_id}\n{family}\n{network}".encode())
