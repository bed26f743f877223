"""The chain of batches: digests, heads and the MACs that authenticate them."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, update

from authserve.audit.models import CHAIN_ID, AuditChain
from authserve.core.clock import to_rfc3339
from authserve.core.crypto import KEYRING, digest
from authserve.database.transactions import require_transaction

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
