"""Verifying: whether the trail is what was written, and if not, where that shows first."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select

from authserve.audit.models import (
    CHAIN_ID,
    AuditBatch,
    AuditChain,
    AuditDetail,
    AuditEvent,
    AuditSeal,
    AuditUnsealed,
)
from authserve.audit.service.chain import (
    DIGEST_BYTES,
    EVENT_COLUMNS,
    HEAD_COLUMNS,
    NO_HEAD,
    batch_head,
    event_digest,
    is_batch_mac,
    is_chain_mac,
)
from authserve.audit.service.recording import details_digest
from authserve.core.clock import to_rfc3339
from authserve.core.crypto import digest, is_equal
from authserve.core.db import read_all

LATENESS = timedelta(hours=1)
"""How much older than what is sealed already an event may be that comes late. Timeouts end every
transaction far sooner, and clocks may be half a minute off; chosen, not measured."""

BATCH_SLICE = 100
"""Batches read at once, with the digests of up to 500 events each (chosen)."""

STRAY_SLICE = 2_000
"""Events looked at in one statement, when looking for strays (chosen)."""


class TamperedError(Exception):
    """The trail is not what was written; the text names what shows it first.

    It is for the operator's eyes alone: no request ever verifies the trail.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was found to be as it was written.

    Args:
        batches: the chain's length.
        events: in batches, and still there.
        pruned: in batches that retention took; their heads alone were checked.
        unsealed: so new that they are in no batch yet.
        head: of the last batch; 32 zero bytes before the first.
    """

    batches: int
    events: int
    pruned: int
    unsealed: int
    head: bytes


@dataclass(slots=True)
class _Walk:
    """How far the chain has been followed."""

    seq: int = 0
    head: bytes = NO_HEAD
    events: int = 0
    pruned: int = 0
    horizon: datetime | None = None
    """How new an event had been sealed, at the least, before the next batch."""


def chain_length() -> int:
    """How many batches the chain has; for the length of a progress bar."""
    rows = read_all(select(AuditChain.seq).where(AuditChain.id == CHAIN_ID))
    return rows[0].seq if rows else 0


def verify_trail(
    *,
    known_heads: Mapping[int, bytes] | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> Verified:
    """Check every batch, every event and what details there still are, in bounded memory.

    The service may go on meanwhile: batches sealed later are not looked at. Whoever holds
    `SECRET_KEY`, or puts an older copy of the whole database back, is found by `known_heads`
    alone.

    Args:
        known_heads: heads by their batch, from the log.
        progress: told how many batches more are checked.

    Raises:
        TamperedError: what was changed, removed or inserted first.
    """
    newest = read_all(select(func.max(AuditBatch.seq)))[0][0] or 0
    end = _read_end()
    if newest > end.seq:
        raise TamperedError(
            f"batch {end.seq + 1} is there, but the chain's end is noted at batch {end.seq}: "
            "one of the two was tampered with"
        )
    heads, walk = dict(known_heads or {}), _Walk()
    for batch in _read_batches(end.seq):
        _check_link(batch, walk)
        _check_known_head(batch, heads.pop(batch.seq, None))
        _check_content(batch, walk)
        _step(batch, walk)
        progress(1)
    _check_end(end, walk, heads)
    unsealed = _check_strays(walk)
    return Verified(
        batches=walk.seq,
        events=walk.events,
        pruned=walk.pruned,
        unsealed=unsealed,
        head=walk.head,
    )


def find_fault_of_batch(seq: int) -> str | None:
    """What is wrong with one batch, its place in the chain left aside; None if nothing is."""
    (batch,) = read_all(select(AuditBatch.__table__).where(AuditBatch.seq == seq))
    try:
        _check_seal(batch)
        _check_content(batch, _Walk())
    except TamperedError as error:
        return str(error)
    return None


def _read_end() -> Row[Any]:
    rows = read_all(select(AuditChain.__table__).where(AuditChain.id == CHAIN_ID))
    if not rows:
        raise TamperedError("the note of the chain's end was removed (table audit_chain)")
    end = rows[0]
    if end.is_pruning:
        raise TamperedError("events can be deleted: audit_chain.is_pruning was left set")
    is_new = end.seq == 0 and end.head == NO_HEAD
    if not is_new and not is_chain_mac(end.mac, end.seq, end.head):
        raise TamperedError(f"the note of the chain's end, batch {end.seq}, {_NO_MAC}")
    return end


_NO_MAC = (
    "was changed, or was made under a secret that is neither SECRET_KEY nor one of "
    "SECRET_KEY_FALLBACKS"
)


def _read_batches(last_seq: int) -> Iterator[Row[Any]]:
    seq = 0
    while seq < last_seq:
        rows = read_all(
            select(AuditBatch.__table__)
            .where(AuditBatch.seq > seq, AuditBatch.seq <= last_seq)
            .order_by(AuditBatch.seq)
            .limit(BATCH_SLICE)
        )
        if not rows:
            return
        yield from rows
        seq = rows[-1].seq


def _check_link(batch: Row[Any], walk: _Walk) -> None:
    if batch.seq != walk.seq + 1:
        raise TamperedError(f"batch {walk.seq + 1} was removed")
    _check_seal(batch)
    if not is_equal(batch.previous_head, walk.head):
        raise TamperedError(
            f"batch {batch.seq} does not follow batch {walk.seq}: batches were exchanged, "
            "put in or taken out"
        )


def _check_seal(batch: Row[Any]) -> None:
    columns = {name: getattr(batch, name) for name in HEAD_COLUMNS}
    if not is_equal(batch_head(columns), batch.head):
        raise TamperedError(f"batch {batch.seq} was changed or moved: its head does not fit it")
    if not is_batch_mac(batch.mac, batch.head, batch.pruned_at):
        raise TamperedError(f"batch {batch.seq} {_NO_MAC}")


def _check_known_head(batch: Row[Any], head: bytes | None) -> None:
    if head is not None and not is_equal(batch.head, head):
        raise TamperedError(
            f"batch {batch.seq} is not the one that was logged: the chain was made anew"
        )


def _step(batch: Row[Any], walk: _Walk) -> None:
    walk.seq, walk.head = batch.seq, batch.head
    # A clock that was wrong for a moment must not make all that follows look late.
    reached = min(batch.newest_at, batch.sealed_at)
    walk.horizon = max(walk.horizon or reached, reached)


def _check_end(end: Row[Any], walk: _Walk, unseen_heads: Mapping[int, bytes]) -> None:
    if walk.seq < end.seq:
        raise TamperedError(
            f"batch {walk.seq + 1} was removed, and all after it: "
            f"the chain's end is noted at batch {end.seq}"
        )
    if not is_equal(walk.head, end.head):
        raise TamperedError(f"batch {end.seq} is not the one that is noted as the chain's end")
    if unseen_heads:
        raise TamperedError(
            f"batch {min(unseen_heads)} was logged, but the chain ends at batch {end.seq}: "
            "the trail was cut, or an older copy put in its place"
        )


# Inside a batch


def _check_content(batch: Row[Any], walk: _Walk) -> None:
    """Check a batch's events, unless they were pruned, be it while they are being read."""
    if batch.pruned_at is not None:
        walk.pruned += batch.event_count
        return
    try:
        _check_events(batch, walk.horizon)
    except TamperedError:
        (again,) = read_all(select(AuditBatch.__table__).where(AuditBatch.seq == batch.seq))
        if again.pruned_at is None:
            raise
        _check_seal(again)
        walk.pruned += batch.event_count
    else:
        walk.events += batch.event_count


def _check_events(batch: Row[Any], horizon: datetime | None) -> None:
    sealed = _split(batch)
    rows = _read_sealed(batch.seq)
    for place, row in enumerate(rows):
        if row.position > place and place < len(sealed):
            raise TamperedError(f"event {place} of batch {batch.seq} was removed, with its seal")
        _check_event(row, sealed, batch=batch, is_surplus=len(rows) > len(sealed))
        _check_details(row)
        _check_age(row.id, row.occurred_at, horizon)
    if len(rows) < len(sealed):
        raise TamperedError(f"event {len(rows)} of batch {batch.seq} was removed, with its seal")


def _split(batch: Row[Any]) -> Sequence[bytes]:
    joined = batch.event_digests or b""
    if not is_equal(digest(joined), batch.events_digest):
        raise TamperedError(f"batch {batch.seq} was changed: its digests of events do not fit it")
    return [joined[at : at + DIGEST_BYTES] for at in range(0, len(joined), DIGEST_BYTES)]


def _read_sealed(seq: int) -> Sequence[Row[Any]]:
    return read_all(
        select(
            AuditSeal.event_id,
            AuditSeal.position,
            *(getattr(AuditEvent, name) for name in EVENT_COLUMNS),
            AuditDetail.event_id.label("details_of"),
            AuditDetail.salt,
            AuditDetail.ip,
            AuditDetail.user_agent,
            AuditDetail.details,
        )
        .outerjoin_from(AuditSeal, AuditEvent, AuditEvent.id == AuditSeal.event_id)
        .outerjoin(AuditDetail, AuditDetail.event_id == AuditSeal.event_id)
        .where(AuditSeal.batch_seq == seq)
        .order_by(AuditSeal.position)
    )


def _check_event(
    row: Row[Any], sealed: Sequence[bytes], *, batch: Row[Any], is_surplus: bool
) -> None:
    where = f"(batch {batch.seq}, position {row.position})"
    if row.id is None:
        raise TamperedError(f"event {row.event_id} was removed {where}")
    found = event_digest(row)
    is_in_place = 0 <= row.position < len(sealed) and is_equal(found, sealed[row.position])
    if is_in_place:
        return
    if is_surplus and found not in sealed:
        raise TamperedError(f"event {row.id} was inserted {where}")
    raise TamperedError(f"event {row.id} was changed, or put into another's place {where}")


def _check_details(row: Row[Any]) -> None:
    """Check details that are still there; erased ones are no tampering."""
    if row.details_of is None:
        return
    details = {"ip": row.ip, "user_agent": row.user_agent, "details": row.details}
    if not is_equal(details_digest(row.salt, details), row.details_digest):
        raise TamperedError(f"the details of event {row.id} were changed")


def _check_age(event_id: UUID, occurred_at: datetime, horizon: datetime | None) -> None:
    if horizon is not None and occurred_at < horizon - LATENESS:
        raise TamperedError(
            f"event {event_id} was inserted: it says {to_rfc3339(occurred_at)}, and came when "
            f"events of {to_rfc3339(horizon)} had been sealed"
        )


# Outside of all batches


def _check_strays(walk: _Walk) -> int:
    """Check that every other event is either new or in a batch; returns how many are new."""
    _check_none_vanished()
    unsealed, last_id = 0, None
    while rows := _read_places(last_id):
        for row in rows:
            if row.unsealed_id is not None and row.seal_id is None:
                _check_details(row)
                _check_age(row.id, row.occurred_at, walk.horizon)
                unsealed += 1
            elif not row.is_in_batch:
                raise TamperedError(f"event {row.id} was inserted: no batch holds it")
            elif row.unsealed_id is not None:
                raise TamperedError(f"event {row.id} is sealed, and was noted as new once more")
        last_id = rows[-1].id
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
    """Where events are noted; one statement sees an event either sealed or not."""
    is_in_batch = AuditBatch.seq.is_not(None) & AuditBatch.pruned_at.is_(None)
    statement = (
        select(
            AuditEvent.id,
            AuditEvent.occurred_at,
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
