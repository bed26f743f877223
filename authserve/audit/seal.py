"""Sealing: new events are put into batches, each chained to the one before."""

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, insert, select

from authserve.audit.chain import batch_head, batch_mac, event_digest, set_chain_end
from authserve.audit.models import (
    CHAIN_ID,
    AuditBatch,
    AuditChain,
    AuditEvent,
    AuditSeal,
    AuditUnsealed,
)
from authserve.core.clock import now
from authserve.core.crypto import digest
from authserve.database.transactions import read_all, require_transaction, transaction

logger = logging.getLogger(__name__)

SEAL_SLICE = 500
"""The maximum of events in a batch, which keeps transactions short (chosen, not measured)."""


def seal_events() -> Iterator[int]:
    """Seal every committed event, batch by batch.

    An event that is committed later gets into a later batch. If several callers run at once, one
    seals and the others return.

    Yields:
        The number of events in each committed batch.
    """
    while read_all(_next_events(1)):
        batch = _seal_batch()
        if batch is None:
            return
        # The log is stored elsewhere, so its heads reveal a chain that was rebuilt as a whole.
        logger.info("audit batch sealed", extra=batch)
        yield batch["events"]


def count_unsealed_events() -> int:
    """Return the number of events in no batch yet: small while a worker runs."""
    ((count,),) = read_all(select(func.count()).select_from(AuditUnsealed))
    return int(count)


def find_oldest_unsealed() -> datetime | None:
    """Return the time of the oldest event in no batch yet, or None if all are sealed."""
    rows = read_all(_next_events(1))
    return rows[0].occurred_at if rows else None


def _seal_batch() -> dict[str, Any] | None:
    with transaction() as session:
        # On SQLite, the write transaction itself is the lock.
        end = session.execute(
            select(AuditChain.seq, AuditChain.head)
            .where(AuditChain.id == CHAIN_ID)
            .with_for_update(skip_locked=True)
        ).one_or_none()
        events = session.execute(_next_events(SEAL_SLICE)).all() if end else ()
        if end is None or not events:
            return None
        batch = _make_batch(end.seq + 1, end.head, events)
        _write_batch(batch, events)
    return {"batch": batch["seq"], "head": batch["head"].hex(), "events": len(events)}


def _next_events(limit: int) -> Any:
    """Select the oldest unsealed events.

    The id of a removed event stays in `audit_unsealed`, for verification to name it.
    """
    return (
        select(AuditEvent.__table__)
        .join(AuditUnsealed, AuditUnsealed.event_id == AuditEvent.id)
        .order_by(AuditUnsealed.event_id)
        .limit(limit)
    )


def _make_batch(seq: int, previous_head: bytes, events: Sequence[Row[Any]]) -> dict[str, Any]:
    digests = b"".join(map(event_digest, events))
    moments = [event.occurred_at for event in events]
    batch = {
        "seq": seq,
        "event_count": len(events),
        "first_event_id": events[0].id,
        "last_event_id": events[-1].id,
        "oldest_at": min(moments),
        "newest_at": max(moments),
        "sealed_at": now(),
        "events_digest": digest(digests),
        "previous_head": previous_head,
        "event_digests": digests,
        "pruned_at": None,
    }
    batch["head"] = batch_head(batch)
    batch["mac"] = batch_mac(batch["head"], None)
    return batch


def _write_batch(batch: dict[str, Any], events: Sequence[Row[Any]]) -> None:
    session = require_transaction()
    session.execute(insert(AuditBatch), batch)
    session.execute(
        insert(AuditSeal),
        [
            {"event_id": event.id, "batch_seq": batch["seq"], "position": position}
            for position, event in enumerate(events)
        ],
    )
    ids = [event.id for event in events]
    statement = delete(AuditUnsealed).where(AuditUnsealed.event_id.in_(ids))
    session.execute(statement.execution_options(synchronize_session=False))
    set_chain_end(batch["seq"], batch["head"])
