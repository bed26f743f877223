"""Sealing: new events are put into batches, each chained to the one before by digests and MACs."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, insert, select, update

from authserve.audit.models import (
    CHAIN_ID,
    AuditBatch,
    AuditChain,
    AuditEvent,
    AuditSeal,
    AuditUnsealed,
)
from authserve.core.clock import now, to_rfc3339
from authserve.core.crypto import KEYRING, digest
from authserve.database.transactions import read_all, require_transaction, transaction

KEY_PURPOSE = "audit-chain"

DIGEST_BYTES = 32

NO_HEAD = bytes(DIGEST_BYTES)
"""The `previous_head` of the first batch."""

EVENT_COLUMNS = (
    "id",
    "occurred_at",
    "action",
    "outcome",
    "actor_audit_id",
    "subject_audit_id",
    "correlation_id",
    "details_digest",
)
"""The columns of an event that are always digested; none of them ever changes."""

OPTIONAL_COLUMN = "actor_client_id"
"""The column that is digested only if it is not null, so that older digests still match."""

HEAD_COLUMNS = (
    "seq",
    "event_count",
    "first_event_id",
    "last_event_id",
    "oldest_at",
    "newest_at",
    "sealed_at",
    "events_digest",
    "previous_head",
)
"""The columns of a batch that pruning leaves unchanged."""


def event_digest(event: Row[Any]) -> bytes:
    """Return the digest of one event, over `EVENT_COLUMNS` and `OPTIONAL_COLUMN`."""
    values = [getattr(event, name) for name in EVENT_COLUMNS]
    optional = getattr(event, OPTIONAL_COLUMN)
    return _digest_of("event", values if optional is None else [*values, optional])


def batch_head(batch: Mapping[str, Any]) -> bytes:
    """Return the digest over `HEAD_COLUMNS`, which covers the batch and all batches before it."""
    return _digest_of("batch", [batch[name] for name in HEAD_COLUMNS])


def batch_mac(head: bytes, pruned_at: datetime | None) -> bytes:
    """Return the MAC of a batch, which also covers the time of its pruning, if any."""
    return KEYRING.get().mac(KEY_PURPOSE, _batch_message(head, pruned_at))


def is_batch_mac(mac: bytes, head: bytes, pruned_at: datetime | None) -> bool:
    """Return True if a batch's MAC was made under the current secret or a former one."""
    return KEYRING.get().is_mac(KEY_PURPOSE, _batch_message(head, pruned_at), mac)


def is_chain_mac(mac: bytes, seq: int, head: bytes) -> bool:
    """Return True if the chain end's MAC was made under the current secret or a former one."""
    return KEYRING.get().is_mac(KEY_PURPOSE, _end_message(seq, head), mac)


def set_chain_end(seq: int, head: bytes) -> None:
    """Store the chain's last batch and head, with a MAC, in the open transaction."""
    mac = KEYRING.get().mac(KEY_PURPOSE, _end_message(seq, head))
    statement = update(AuditChain).where(AuditChain.id == CHAIN_ID)
    require_transaction().execute(statement.values(seq=seq, head=head, mac=mac))


def _batch_message(head: bytes, pruned_at: datetime | None) -> bytes:
    return _canonical("sealed" if pruned_at is None else "pruned", [head, pruned_at])


def _end_message(seq: int, head: bytes) -> bytes:
    return _canonical("end", [seq, head])


def _digest_of(kind: str, values: Sequence[Any]) -> bytes:
    return digest(_canonical(kind, values))


def _canonical(kind: str, values: Sequence[Any]) -> bytes:
    """Return a unique serialization: equal lists give equal bytes, different lists never do.

    For example `["event","01932f5e-…","2026-11-23T06:49:48.123456Z","session.started",…]`.
    """
    return json.dumps([kind, *map(_plain, values)], separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return to_rfc3339(value)
    return value


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
