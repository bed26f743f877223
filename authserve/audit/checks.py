"""Checks of single events and single batches; the first fault raises `TamperedError`."""

from collections.abc import Sequence, Set
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select

from authserve.audit.models import AuditBatch, AuditDetail, AuditEvent, AuditSeal
from authserve.audit.record import details_digest
from authserve.audit.seal import (
    DIGEST_BYTES,
    EVENT_COLUMNS,
    HEAD_COLUMNS,
    OPTIONAL_COLUMN,
    batch_head,
    event_digest,
    is_batch_mac,
)
from authserve.core.clock import to_rfc3339
from authserve.core.crypto import digest, is_equal
from authserve.core.events import AuditAction
from authserve.database.transactions import read_all
from authserve.users.lists import find_ids_by_audit_id

LATENESS = timedelta(hours=1)
"""The longest time by which a late event may be older than the events already sealed. Timeouts end
every transaction far sooner, and clocks may be half a minute off (chosen, not measured)."""


class TamperedError(Exception):
    """The first fault that shows tampering with the trail; the message names it.

    Only operators see the message: no request verifies the trail.
    """


def find_deleted_users(rows: Sequence[Row[Any]]) -> Set[UUID]:
    """Return the deleted users among those of events without details, as the ids in the events.

    Only the event `user.deleted` explains missing details, and only if no account has the id:
    otherwise an attacker could insert that event to hide a removal.
    """
    bare = {user for row in rows if row.details_of is None for user in _users_of(row)}
    if not bare:
        return frozenset()
    statement = select(AuditEvent.subject_audit_id).where(
        AuditEvent.subject_audit_id.in_(bare), AuditEvent.action == AuditAction.USER_DELETED
    )
    deleted = {row.subject_audit_id for row in read_all(statement)}
    return deleted - find_ids_by_audit_id(deleted).keys()


def _users_of(row: Row[Any]) -> Set[UUID]:
    return {row.subject_audit_id, row.actor_audit_id} - {None}


def check_details(row: Row[Any], *, deleted: Set[UUID]) -> None:
    """Check that an event's details are unchanged, or were erased with one of its users.

    Args:
        deleted: the result of `find_deleted_users` for rows that include this one.

    Raises:
        TamperedError: the details were changed, or removed.
    """
    if row.details_of is None:
        if not _users_of(row) & deleted:
            raise TamperedError(f"the details of event {row.id} were removed")
        return
    details = {"ip": row.ip, "user_agent": row.user_agent, "details": row.details}
    if not is_equal(details_digest(row.salt, details), row.details_digest):
        raise TamperedError(f"the details of event {row.id} were changed")


def check_age(event_id: UUID, occurred_at: datetime, horizon: datetime | None) -> None:
    """Check that an event is not much older than the events sealed before it.

    Args:
        horizon: a time that the events sealed before had reached; None if there are none.

    Raises:
        TamperedError: the event is older than `horizon` by more than `LATENESS`.
    """
    if horizon is not None and occurred_at < horizon - LATENESS:
        raise TamperedError(
            f"event {event_id} was inserted: its time is {to_rfc3339(occurred_at)}, but events of "
            f"{to_rfc3339(horizon)} had been sealed before it came"
        )


NO_MAC = (
    "was changed, or was made under a secret that is neither SECRET_KEY nor one of "
    "SECRET_KEY_FALLBACKS"
)


def find_fault_of_batch(seq: int) -> str | None:
    """Return the first fault of one batch, or None; its place in the chain is not checked."""
    (batch,) = read_all(select(AuditBatch.__table__).where(AuditBatch.seq == seq))
    try:
        check_seal(batch)
        check_content(batch, None)
    except TamperedError as error:
        return str(error)
    return None


def check_seal(batch: Row[Any]) -> None:
    """Check that a batch's head matches its columns, and that its MAC matches its head.

    Raises:
        TamperedError: one of the two does not match.
    """
    columns = {name: getattr(batch, name) for name in HEAD_COLUMNS}
    if not is_equal(batch_head(columns), batch.head):
        raise TamperedError(f"batch {batch.seq} was changed or moved: its head does not fit it")
    if not is_batch_mac(batch.mac, batch.head, batch.pruned_at):
        raise TamperedError(f"batch {batch.seq} {NO_MAC}")


def check_content(batch: Row[Any], horizon: datetime | None) -> bool:
    """Check a batch's events, unless they were pruned before the check or during it.

    Args:
        horizon: a time that the events of earlier batches had reached; None if there is none.

    Returns:
        True if the events are there, False if they were pruned.

    Raises:
        TamperedError: an event was changed, removed or inserted.
    """
    if batch.pruned_at is not None:
        return False
    try:
        _check_events(batch, horizon)
    except TamperedError:
        (again,) = read_all(select(AuditBatch.__table__).where(AuditBatch.seq == batch.seq))
        if again.pruned_at is None:
            raise
        check_seal(again)
        return False
    return True


def _check_events(batch: Row[Any], horizon: datetime | None) -> None:
    sealed = _split(batch)
    rows = _read_sealed(batch.seq)
    deleted = find_deleted_users(rows)
    for place, row in enumerate(rows):
        if row.position > place and place < len(sealed):
            raise TamperedError(f"event {place} of batch {batch.seq} was removed, with its seal")
        _check_event(row, sealed, batch=batch, is_surplus=len(rows) > len(sealed))
        check_details(row, deleted=deleted)
        check_age(row.id, row.occurred_at, horizon)
    if len(rows) < len(sealed):
        raise TamperedError(f"event {len(rows)} of batch {batch.seq} was removed, with its seal")


def _split(batch: Row[Any]) -> Sequence[bytes]:
    joined = batch.event_digests or b""
    if not is_equal(digest(joined), batch.events_digest):
        raise TamperedError(f"batch {batch.seq} was changed: its digests of events do not fit it")
    return [joined[at : at + DIGEST_BYTES] for at in range(0, len(joined), DIGEST_BYTES)]


def _read_sealed(seq: int) -> Sequence[Row[Any]]:
    return read_all(
        select(
            AuditSeal.event_id,
            AuditSeal.position,
            *(getattr(AuditEvent, name) for name in (*EVENT_COLUMNS, OPTIONAL_COLUMN)),
            AuditDetail.event_id.label("details_of"),
            AuditDetail.salt,
            AuditDetail.ip,
            AuditDetail.user_agent,
            AuditDetail.details,
        )
        .outerjoin_from(AuditSeal, AuditEvent, AuditEvent.id == AuditSeal.event_id)
        .outerjoin(AuditDetail, AuditDetail.event_id == AuditSeal.event_id)
        .where(AuditSeal.batch_seq == seq)
        .order_by(AuditSeal.position)
    )


def _check_event(
    row: Row[Any], sealed: Sequence[bytes], *, batch: Row[Any], is_surplus: bool
) -> None:
    where = f"(batch {batch.seq}, position {row.position})"
    if row.id is None:
        raise TamperedError(f"event {row.event_id} was removed {where}")
    found = event_digest(row)
    is_in_place = 0 <= row.position < len(sealed) and is_equal(found, sealed[row.position])
    if is_in_place:
        return
    if is_surplus and found not in sealed:
        raise TamperedError(f"event {row.id} was inserted {where}")
    raise TamperedError(f"event {row.id} was changed, or put into another's place {where}")
