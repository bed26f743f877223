"""Verification of the whole trail: every batch up to the chain's end, then unsealed events."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select

from authserve.audit.checks import (
    NO_MAC,
    TamperedError,
    check_age,
    check_content,
    check_details,
    check_seal,
    find_deleted_users,
)
from authserve.audit.models import (
    CHAIN_ID,
    AuditBatch,
    AuditChain,
    AuditDetail,
    AuditEvent,
    AuditSeal,
    AuditUnsealed,
)
from authserve.audit.seal import NO_HEAD, is_chain_mac
from authserve.core.crypto import is_equal
from authserve.core.frozen import frozen
from authserve.database.transactions import read_all

BATCH_SLICE = 100
"""Batches read by one statement, each with the digests of up to 500 events (chosen)."""


@frozen(kw_only=True)
class Verified:
    """The extent of a verified trail.

    Args:
        batches: the number of batches.
        events: the number of events in batches that are not pruned.
        pruned: the number of events in pruned batches, of which only the heads were checked.
        unsealed: the number of events in no batch yet.
        head: the head of the last batch; 32 zero bytes if there is none.
    """

    batches: int
    events: int
    pruned: int
    unsealed: int
    head: bytes


@dataclass(slots=True)
class _Walk:
    """The progress of a verification along the chain."""

    seq: int = 0
    head: bytes = NO_HEAD
    events: int = 0
    pruned: int = 0
    horizon: datetime | None = None
    """A time that the events of the batches so far had reached."""


def chain_length() -> int:
    """Return the number of batches in the chain, for a progress bar."""
    rows = read_all(select(AuditChain.seq).where(AuditChain.id == CHAIN_ID))
    return rows[0].seq if rows else 0


def verify_trail(
    *,
    known_heads: Mapping[int, bytes] | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> Verified:
    """Run `verify_in_slices` to its end.

    Args:
        known_heads: heads from the log, by batch number.
        progress: called with the number of batches checked since the previous call.

    Raises:
        TamperedError: the first change, removal or insertion that was found.
    """
    slices = verify_in_slices(known_heads=known_heads)
    while True:
        try:
            progress(next(slices))
        except StopIteration as end:
            verified: Verified = end.value
            return verified


def verify_in_slices(
    *, known_heads: Mapping[int, bytes] | None = None
) -> Generator[int, None, Verified]:
    """Check every batch, every event and its details, in bounded memory.

    The service may run meanwhile: batches sealed later are not checked. Only `known_heads` reveals
    a forgery by the holder of `SECRET_KEY`, or an older copy of the whole database.

    Args:
        known_heads: heads from the log, by batch number.

    Yields:
        The number of batches checked since the previous slice; 0 for a slice of unsealed events.

    Returns:
        The extent of the trail, if no fault was found.

    Raises:
        TamperedError: the first change, removal or insertion that was found.
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
        _step(batch, walk, is_there=check_content(batch, walk.horizon))
        yield 1
    _check_end(end, walk, heads)
    unsealed = yield from check_unsealed(walk.horizon)
    return Verified(
        batches=walk.seq,
        events=walk.events,
        pruned=walk.pruned,
        unsealed=unsealed,
        head=walk.head,
    )


def _read_end() -> Row[Any]:
    rows = read_all(select(AuditChain.__table__).where(AuditChain.id == CHAIN_ID))
    if not rows:
        raise TamperedError("the note of the chain's end was removed (table audit_chain)")
    end = rows[0]
    if end.is_pruning:
        raise TamperedError("events can be deleted: audit_chain.is_pruning was left set")
    is_new = end.seq == 0 and end.head == NO_HEAD
    if not is_new and not is_chain_mac(end.mac, end.seq, end.head):
        raise TamperedError(f"the note of the chain's end, batch {end.seq}, {NO_MAC}")
    return end


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
    check_seal(batch)
    if not is_equal(batch.previous_head, walk.head):
        raise TamperedError(
            f"batch {batch.seq} does not follow batch {walk.seq}: batches were exchanged, "
            "put in or taken out"
        )


def _check_known_head(batch: Row[Any], head: bytes | None) -> None:
    if head is not None and not is_equal(batch.head, head):
        raise TamperedError(
            f"batch {batch.seq} is not the one that was logged: the chain was made anew"
        )


def _step(batch: Row[Any], walk: _Walk, *, is_there: bool) -> None:
    walk.seq, walk.head = batch.seq, batch.head
    if is_there:
        walk.events += batch.event_count
    else:
        walk.pruned += batch.event_count
    # A clock that was fast for a short time must not make all later events look too old.
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


UNSEALED_SLICE = 2_000
"""Events read by one statement (chosen)."""


def check_unsealed(horizon: datetime | None) -> Generator[int, None, int]:
    """Check that every event is either new or in a batch.

    Args:
        horizon: a time that the sealed events had reached; None if there are none.

    Yields:
        0, for no batch, after each slice of `UNSEALED_SLICE` events.

    Returns:
        The number of new events.

    Raises:
        TamperedError: an event was inserted, or was removed before it was sealed.
    """
    _check_none_vanished()
    unsealed, last_id = 0, None
    while rows := _read_places(last_id):
        deleted = find_deleted_users([row for row in rows if row.unsealed_id is not None])
        for row in rows:
            if row.unsealed_id is not None and row.seal_id is None:
                check_details(row, deleted=deleted)
                check_age(row.id, row.occurred_at, horizon)
                unsealed += 1
            elif not row.is_in_batch:
                raise TamperedError(f"event {row.id} was inserted: no batch holds it")
            elif row.unsealed_id is not None:
                raise TamperedError(f"event {row.id} is sealed, and was noted as new once more")
        last_id = rows[-1].id
        yield 0
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
    """Return events with their unsealed note and their seal, in the order of ids.

    One statement reads both, so it sees each event either as sealed or as new.
    """
    is_in_batch = AuditBatch.seq.is_not(None) & AuditBatch.pruned_at.is_(None)
    statement = (
        select(
            AuditEvent.id,
            AuditEvent.occurred_at,
            AuditEvent.subject_audit_id,
            AuditEvent.actor_audit_id,
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
        .limit(UNSEALED_SLICE)
    )
    if after_id is not None:
        statement = statement.where(AuditEvent.id > after_id)
    return read_all(statement)
