"""Export of the whole trail, oldest first, in bounded memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, or_, select

from authserve.audit.listing import EVENT_AND_DETAILS, RecordedEvent, recorded
from authserve.audit.models import AuditDetail, AuditEvent, AuditSeal
from authserve.database.transactions import read_all

EXPORT_SLICE = 1_000
"""Events read by one statement (chosen, not measured)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedEvent:
    """An event with its batch and the user ids that it stores.

    The stored ids connect the events of a deleted user.

    Args:
        batch: the number of the batch; None until the event is sealed.
    """

    event: RecordedEvent
    actor_audit_id: UUID | None
    subject_audit_id: UUID | None
    batch: int | None


def export_events(
    *, after: datetime | None = None, before: datetime | None = None
) -> Iterator[ExportedEvent]:
    """Yield every event in the order of `occurred_at`.

    Events of transactions that are still open are missing, so an export up to now may lack the
    newest events. An export that ends some minutes ago is complete.

    Args:
        after, before: exclusive bounds of the time.
    """
    last: Row[Any] | None = None
    while rows := _read_slice(last, after=after, before=before):
        for row, event in zip(rows, recorded(rows), strict=True):
            yield ExportedEvent(
                event=event,
                actor_audit_id=row.actor_audit_id,
                subject_audit_id=row.subject_audit_id,
                batch=row.batch_seq,
            )
        last = rows[-1]


def _read_slice(
    last: Row[Any] | None, *, after: datetime | None, before: datetime | None
) -> Sequence[Row[Any]]:
    statement = (
        select(*EVENT_AND_DETAILS, AuditSeal.batch_seq)
        .outerjoin_from(AuditEvent, AuditDetail, AuditDetail.event_id == AuditEvent.id)
        .outerjoin(AuditSeal, AuditSeal.event_id == AuditEvent.id)
        .order_by(AuditEvent.occurred_at, AuditEvent.id)
        .limit(EXPORT_SLICE)
    )
    if after is not None:
        statement = statement.where(AuditEvent.occurred_at > after)
    if before is not None:
        statement = statement.where(AuditEvent.occurred_at < before)
    if last is not None:
        # The index answers the first condition; the second skips the rows already read.
        is_later = or_(AuditEvent.occurred_at > last.occurred_at, AuditEvent.id > last.id)
        statement = statement.where(AuditEvent.occurred_at >= last.occurred_at, is_later)
    return read_all(statement)
