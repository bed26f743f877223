"""Checks of events in no batch: each is either new, or was inserted by an attacker."""

from collections.abc import Generator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select

from authserve.audit.models import AuditBatch, AuditDetail, AuditEvent, AuditSeal, AuditUnsealed
from authserve.audit.verifying.checks import (
    TamperedError,
    check_age,
    check_details,
    find_deleted_users,
)
from authserve.database.transactions import read_all

STRAY_SLICE = 2_000
"""Events read by one statement (chosen)."""


def check_strays(horizon: datetime | None) -> Generator[int, None, int]:
    """Check that every event is either new or in a batch.

    Args:
        horizon: a time that the sealed events had reached; None if there are none.

    Yields:
        0, for no batch, after each slice of `STRAY_SLICE` events.

    Returns:
        The number of new events.

    Raises:
        TamperedError: an event was inserted, or was removed before it was sealed.
    """
    _check_none_vanished()
    unsealed, last_id = 0, None
    while rows := _read_places(last_id):
        deleted = find_deleted_users([row for row in rows if row.unsealed_id is not None])
        for row in rows:
            if row.unsealed_id is not None and row.seal_id is None:
                check_details(row, deleted=deleted)
                check_age(row.id, row.occurred_at, horizon)
                unsealed += 1
            elif not row.is_in_batch:
                raise TamperedError(f"event {row.id} was inserted: no batch holds it")
            elif row.unsealed_id is not None:
                raise TamperedError(f"event {row.id} is sealed, and was noted as new once more")
        last_id = rows[-1].id
        yield 0
    return unsealed


def _check_none_vanished() -> None:
    statement = (
        select(AuditUnsealed.event_id)
        .outerjoin(AuditEvent, AuditEvent.id == AuditUnsealed.event_id)
        .where(AuditEvent.id.is_(None))
        .order_by(AuditUnsealed.event_id)
    )
    for row in read_all(statement.limit(1)):
        raise TamperedError(f"event {row.event_id} was removed before it was sealed")


def _read_places(after_id: UUID | None) -> Sequence[Row[Any]]:
    """Return events with their unsealed note and their seal, in the order of ids.

    One statement reads both, so it sees each event either as sealed or as new.
    """
    is_in_batch = AuditBatch.seq.is_not(None) & AuditBatch.pruned_at.is_(None)
    statement = (
        select(
            AuditEvent.id,
            AuditEvent.occurred_at,
            AuditEvent.subject_audit_id,
            AuditEvent.actor_audit_id,
            AuditEvent.details_digest,
            AuditUnsealed.event_id.label("unsealed_id"),
            AuditSeal.event_id.label("seal_id"),
            is_in_batch.label("is_in_batch"),
            AuditDetail.event_id.label("details_of"),
            AuditDetail.salt,
            AuditDetail.ip,
            AuditDetail.user_agent,
            AuditDetail.details,
        )
        .outerjoin(AuditUnsealed, AuditUnsealed.event_id == AuditEvent.id)
        .outerjoin(AuditSeal, AuditSeal.event_id == AuditEvent.id)
        .outerjoin(AuditBatch, AuditBatch.seq == AuditSeal.batch_seq)
        # Details of sealed events are checked with their batch.
        .outerjoin(AuditDetail, AuditDetail.event_id == AuditUnsealed.event_id)
        .order_by(AuditEvent.id)
        .limit(STRAY_SLICE)
    )
    if after_id is not None:
        statement = statement.where(AuditEvent.id > after_id)
    return read_all(statement)
