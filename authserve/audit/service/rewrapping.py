"""Rewrapping: heads vouched for under a former secret are vouched for under the current one."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, update

from authserve.audit.models import CHAIN_ID, AuditBatch, AuditChain
from authserve.audit.service.chain import (
    batch_mac,
    is_batch_mac,
    is_chain_mac,
    set_chain_end,
)
from authserve.audit.service.verifying import TamperedError
from authserve.core.db import require_transaction, transaction

REWRAP_SLICE = 500
"""Batches in one transaction (chosen, not measured)."""


def rewrap_heads() -> Iterator[int]:
    """Vouch for every batch under the current `SECRET_KEY`, so that a former one can go.

    Yields:
        How many batches each committed slice holds.

    Raises:
        TamperedError: no known secret vouches for a batch; those before it are done.
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


def _lock_end() -> Row[Any]:
    """Keep sealing and pruning out."""
    statement = select(AuditChain.__table__).where(AuditChain.id == CHAIN_ID).with_for_update()
    end = require_transaction().execute(statement).one_or_none()
    if end is None:
        raise TamperedError("the note of the chain's end was removed (table audit_chain)")
    return end


def _next_batches(after_seq: int) -> Sequence[Row[int, bytes, datetime | None, bytes]]:
    statement = (
        select(AuditBatch.seq, AuditBatch.head, AuditBatch.pruned_at, AuditBatch.mac)
        .where(AuditBatch.seq > after_seq)
        .order_by(AuditBatch.seq)
        .limit(REWRAP_SLICE)
    )
    return require_transaction().execute(statement).all()


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
