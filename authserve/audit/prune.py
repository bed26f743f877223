"""Pruning: batches older than the retention lose their events and keep their heads."""

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, select, update

from authserve.audit.chain import batch_mac
from authserve.audit.models import CHAIN_ID, AuditBatch, AuditChain, AuditEvent, AuditSeal
from authserve.audit.verifying import find_fault_of_batch
from authserve.core.clock import now
from authserve.database.transactions import read_all, require_transaction, transaction
from authserve.settings.model import SETTINGS

logger = logging.getLogger(__name__)


def prune_events() -> Iterator[int]:
    """Delete the events of every batch whose newest event is older than `AUDIT_RETENTION`.

    A batch that does not verify is pruned too, because its retention is over. Its fault is logged
    and it gets no new MAC, so verification continues to fail.

    Yields:
        The number of events deleted with each batch, after its commit.
    """
    cutoff = now() - SETTINGS.get().audit_retention
    while rows := read_all(_oldest_batch(cutoff)):
        yield _prune_batch(rows[0].seq)


def _oldest_batch(cutoff: datetime) -> Select[Any]:
    return (
        select(AuditBatch.seq)
        .where(AuditBatch.pruned_at.is_(None), AuditBatch.newest_at < cutoff)
        .order_by(AuditBatch.newest_at)
        .limit(1)
    )


def _prune_batch(seq: int) -> int:
    with transaction():
        _set_pruning(True)
        # Another worker may have pruned the batch while this one waited for the lock.
        head = _find_unpruned_head(seq)
        count = 0 if head is None else _delete_events(seq, head)
        _set_pruning(False)
    return count


def _set_pruning(is_pruning: bool) -> None:
    """Allow or forbid DELETE on `audit_events`; the row lock keeps other transactions out."""
    statement = update(AuditChain).where(AuditChain.id == CHAIN_ID).values(is_pruning=is_pruning)
    require_transaction().execute(statement)


def _find_unpruned_head(seq: int) -> bytes | None:
    statement = select(AuditBatch.head).where(AuditBatch.seq == seq, AuditBatch.pruned_at.is_(None))
    return require_transaction().scalar(statement)


def _delete_events(seq: int, head: bytes) -> int:
    session, moment = require_transaction(), now()
    values: dict[str, Any] = {"pruned_at": moment, "event_digests": None}
    if fault := find_fault_of_batch(seq):
        logger.error("a batch is pruned that does not verify", extra={"batch": seq, "fault": fault})
    else:
        values["mac"] = batch_mac(head, moment)
    ids = select(AuditSeal.event_id).where(AuditSeal.batch_seq == seq)
    events = delete(AuditEvent).where(AuditEvent.id.in_(ids))
    seals = delete(AuditSeal).where(AuditSeal.batch_seq == seq)
    count: int = session.execute(events.execution_options(synchronize_session=False)).rowcount  # type: ignore[attr-defined]
    session.execute(seals.execution_options(synchronize_session=False))
    session.execute(update(AuditBatch).where(AuditBatch.seq == seq).values(values))
    return count
