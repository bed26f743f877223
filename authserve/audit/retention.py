"""Changes of sealed batches: pruning after the retention, and new MACs after a change of secret."""

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, delete, select, update

from authserve.audit.checks import TamperedError, find_fault_of_batch
from authserve.audit.models import CHAIN_ID, AuditBatch, AuditChain, AuditEvent, AuditSeal
from authserve.audit.seal import batch_mac, is_batch_mac, is_chain_mac, set_chain_end
from authserve.core.clock import now
from authserve.core.crypto import is_equal
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
        logger.error("a batch to prune does not verify", extra={"batch": seq, "fault": fault})
    else:
        values["mac"] = batch_mac(head, moment)
    ids = select(AuditSeal.event_id).where(AuditSeal.batch_seq == seq)
    events = delete(AuditEvent).where(AuditEvent.id.in_(ids))
    seals = delete(AuditSeal).where(AuditSeal.batch_seq == seq)
    count: int = session.execute(events.execution_options(synchronize_session=False)).rowcount  # type: ignore[attr-defined]
    session.execute(seals.execution_options(synchronize_session=False))
    session.execute(update(AuditBatch).where(AuditBatch.seq == seq).values(values))
    return count


REWRAP_SLICE = 500
"""Batches in one transaction (chosen, not measured)."""


def rewrap_heads() -> Iterator[int]:
    """Renew every batch's MAC under the current `SECRET_KEY`, so that a former one can be dropped.

    Yields:
        The number of batches in each committed slice.

    Raises:
        TamperedError: no known secret made a batch's MAC, or the chain's end is missing. Slices
            committed before stay rewrapped.
    """
    seq = 0
    while True:
        with transaction():
            end = _lock_end()
            batches = _next_batches(seq)
            for batch in batches:
                _rewrap(batch)
            if not batches:
                _rewrap_end(end)
        if not batches:
            return
        yield len(batches)
        seq = batches[-1].seq


def count_former_heads() -> int:
    """Return the number of batches whose MAC was not made under the current `SECRET_KEY`."""
    count, seq = 0, 0
    while batches := read_all(_batches_after(seq)):
        count += sum(
            not is_equal(batch.mac, batch_mac(batch.head, batch.pruned_at)) for batch in batches
        )
        seq = batches[-1].seq
    return count


def _lock_end() -> Row[Any]:
    """Lock and return the chain's end, which keeps sealing and pruning out."""
    statement = select(AuditChain.__table__).where(AuditChain.id == CHAIN_ID).with_for_update()
    end = require_transaction().execute(statement).one_or_none()
    if end is None:
        raise TamperedError("the note of the chain's end was removed (table audit_chain)")
    return end


def _next_batches(after_seq: int) -> Sequence[Row[int, bytes, datetime | None, bytes]]:
    return require_transaction().execute(_batches_after(after_seq)).all()


def _batches_after(seq: int) -> Select[int, bytes, datetime | None, bytes]:
    return (
        select(AuditBatch.seq, AuditBatch.head, AuditBatch.pruned_at, AuditBatch.mac)
        .where(AuditBatch.seq > seq)
        .order_by(AuditBatch.seq)
        .limit(REWRAP_SLICE)
    )


def _rewrap(batch: Row[int, bytes, datetime | None, bytes]) -> None:
    if not is_batch_mac(batch.mac, batch.head, batch.pruned_at):
        raise TamperedError(f"no configured secret verifies batch {batch.seq}")
    mac = batch_mac(batch.head, batch.pruned_at)
    statement = update(AuditBatch).where(AuditBatch.seq == batch.seq).values(mac=mac)
    require_transaction().execute(statement)


def _rewrap_end(end: Row[Any]) -> None:
    if end.seq == 0:
        return
    if not is_chain_mac(end.mac, end.seq, end.head):
        raise TamperedError(f"no configured secret verifies the chain's end, batch {end.seq}")
    set_chain_end(end.seq, end.head)
