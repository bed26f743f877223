"""The chain of batches: digests, heads, and what vouches for them."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, update

from authserve.audit.models import CHAIN_ID, AuditChain
from authserve.core.clock import to_rfc3339
from authserve.core.crypto import digest, get_keyring
from authserve.database.transactions import require_transaction

KEY_PURPOSE = "audit-chain"

DIGEST_BYTES = 32

NO_HEAD = bytes(DIGEST_BYTES)
"""What the first batch follows."""

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
"""All of an event but `OPTIONAL_COLUMN`: none of them ever changes."""

OPTIONAL_COLUMN = "actor_client_id"
"""Part of an event's digest where it is not null, so that older digests still fit."""

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
"""All of a batch that outlives pruning unchanged."""


def event_digest(event: Row[Any]) -> bytes:
    """Return the digest of one event, over `EVENT_COLUMNS` and `OPTIONAL_COLUMN`."""
    values = [getattr(event, name) for name in EVENT_COLUMNS]
    optional = getattr(event, OPTIONAL_COLUMN)
    return _digest_of("event", values if optional is None else [*values, optional])


def batch_head(batch: Mapping[str, Any]) -> bytes:
    """The digest of a batch over `HEAD_COLUMNS`: of its events, and of all batches before it."""
    return _digest_of("batch", [batch[name] for name in HEAD_COLUMNS])


def batch_mac(head: bytes, pruned_at: datetime | None) -> bytes:
    """What vouches for a batch, and for its having been pruned if it was."""
    return get_keyring().mac(KEY_PURPOSE, _batch_message(head, pruned_at))


def is_batch_mac(mac: bytes, head: bytes, pruned_at: datetime | None) -> bool:
    """Whether the current secret, or a former one, vouches for a batch."""
    return get_keyring().is_mac(KEY_PURPOSE, _batch_message(head, pruned_at), mac)


def is_chain_mac(mac: bytes, seq: int, head: bytes) -> bool:
    """Whether the current secret, or a former one, vouches for the chain's end."""
    return get_keyring().is_mac(KEY_PURPOSE, _end_message(seq, head), mac)


def set_chain_end(seq: int, head: bytes) -> None:
    """Write down where the chain ends, in the open transaction."""
    mac = get_keyring().mac(KEY_PURPOSE, _end_message(seq, head))
    statement = update(AuditChain).where(AuditChain.id == CHAIN_ID)
    require_transaction().execute(statement.values(seq=seq, head=head, mac=mac))


def _batch_message(head: bytes, pruned_at: datetime | None) -> bytes:
    return _canonical("sealed" if pruned_at is None else "pruned", [head, pruned_at])


def _end_message(seq: int, head: bytes) -> bytes:
    return _canonical("end", [seq, head])


def _digest_of(kind: str, values: Sequence[Any]) -> bytes:
    return digest(_canonical(kind, values))


def _canonical(kind: str, values: Sequence[Any]) -> bytes:
    """One spelling of each list of values, and no two lists with the same.

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
