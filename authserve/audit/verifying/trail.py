"""The trail as a whole: batch after batch, up to the noted end, and what is in none."""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select

from authserve.audit.chain import NO_HEAD, is_chain_mac
from authserve.audit.models import CHAIN_ID, AuditBatch, AuditChain
from authserve.audit.verifying.batches import NO_MAC, check_content, check_seal
from authserve.audit.verifying.checks import TamperedError
from authserve.audit.verifying.unsealed import check_strays
from authserve.core.crypto import is_equal
from authserve.database.transactions import read_all

BATCH_SLICE = 100
"""Batches read at once, with the digests of up to 500 events each (chosen)."""


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
    """Run `verify_in_slices` to its end.

    Args:
        known_heads: heads by their batch, from the log.
        progress: called with the number of batches checked since the call before.

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

    The service may go on meanwhile: batches sealed later are not checked. Only `known_heads` finds
    what the holder of `SECRET_KEY` forged, and an older copy of the whole database.

    Args:
        known_heads: heads by their batch, from the log.

    Yields:
        The number of batches checked since the slice before; 0 for events outside of batches.

    Returns:
        The extent of the trail, if it is whole.

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
    unsealed = yield from check_strays(walk.horizon)
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
