"""Rewrapping: new MACs of all batches under the current secret."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, select, update

from authserve.audit.chain import batch_mac, is_batch_mac, is_chain_mac, set_chain_end
from authserve.audit.models import CHAIN_ID, AuditBatch, AuditChain
from authserve.audit.verifying import TamperedError
from authserve.core.crypto import is_equal
from authserve.database.transactions import read_all, require_transaction, transaction

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
        raise TamperedError(f"no known secret vouches for batch {batch.seq}")
    mac = batch_mac(batch.head, batch.pruned_at)
    statement = update(AuditBatch).where(AuditBatch.seq == batch.seq).values(mac=mac)
    require_transaction().execute(statement)


def _rewrap_end(end: Row[Any]) -> None:
    if end.seq == 0:
        return
    if not is_chain_mac(end.mac, end.seq, end.head):
        raise TamperedError(f"no known secret vouches for the chain's end, batch {end.seq}")
    set_chain_end(end.seq, end.head)
