"""Pruning: old events go batch by batch, and the rest can still be verified."""

import logging
from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import delete, func, insert, select, update

from authserve.audit.checks import TamperedError, find_fault_of_batch
from authserve.audit.models import AuditBatch, AuditDetail, AuditEvent, AuditSeal
from authserve.audit.retention import prune_events
from authserve.audit.verify import verify_trail
from authserve.database.transactions import read_all, transaction
from tests.support.crowd import all_at_once, persistently
from tests.support.marks import both_databases
from tests.support.trail import (
    event_ids,
    event_row,
    seal_all,
    unguarded,
    write_events,
    write_rows,
)

pytestmark = [both_databases, pytest.mark.usefixtures("clock", "context", "small_slices")]

RETENTION = timedelta(days=400)


def heads() -> list[bytes]:
    return [row.head for row in read_all(select(AuditBatch.head).order_by(AuditBatch.seq))]


def test_it_prunes_batches_that_are_older_and_keeps_their_heads(
    clock: time_machine.Traveller,
) -> None:
    write_events(3)
    seal_all()
    clock.shift(RETENTION)
    kept = write_events(2)
    seal_all()
    before = heads()
    assert list(prune_events()) == [], "exactly as old as the retention is not older"

    clock.shift(timedelta(microseconds=1))
    assert list(prune_events()) == [2, 1]

    assert event_ids() == kept
    assert heads() == before
    assert read_all(select(func.count(AuditSeal.event_id)))[0][0] == 2
    assert read_all(select(func.count(AuditDetail.event_id)))[0][0] == 2
    found = verify_trail()
    assert (found.batches, found.events, found.pruned) == (3, 2, 3)
    assert list(prune_events()) == []


def test_each_batch_is_committed_when_it_is_reported(clock: time_machine.Traveller) -> None:
    write_events(4)
    seal_all()
    clock.shift(RETENTION * 2)
    slices = prune_events()
    assert next(slices) == 2
    assert len(event_ids()) == 2
    assert verify_trail().pruned == 2


def test_a_batch_goes_as_a_whole_with_its_newest_event(clock: time_machine.Traveller) -> None:
    write_events(1)
    clock.shift(timedelta(hours=1))
    write_events(1)
    seal_all()
    clock.shift(RETENTION)
    assert list(prune_events()) == []
    clock.shift(timedelta(microseconds=1))
    assert list(prune_events()) == [2]


def test_events_that_are_not_sealed_stay(clock: time_machine.Traveller) -> None:
    write_events(2)
    clock.shift(RETENTION * 2)
    assert list(prune_events()) == []
    assert len(event_ids()) == 2


def test_the_retention_is_a_setting(
    clock: time_machine.Traveller, make_app: Callable[..., Flask]
) -> None:
    write_events(2)
    seal_all()
    clock.shift(timedelta(days=31))
    with make_app(audit_retention=timedelta(days=31)).app_context():
        assert list(prune_events()) == []
    with make_app(audit_retention=timedelta(days=30)).app_context():
        assert list(prune_events()) == [2]


def test_the_chain_continues_after_everything_was_pruned(clock: time_machine.Traveller) -> None:
    write_events(4)
    seal_all()
    clock.shift(RETENTION * 2)
    assert sum(prune_events()) == 4
    write_events(2)
    seal_all()
    found = verify_trail()
    assert (found.batches, found.events, found.pruned) == (3, 2, 4)


def test_an_event_put_into_a_pruned_batch_is_named(clock: time_machine.Traveller) -> None:
    write_events(2)
    seal_all()
    clock.shift(RETENTION * 2)
    list(prune_events())
    row = event_row()
    with unguarded() as session:
        session.execute(insert(AuditEvent), row)
        session.execute(insert(AuditSeal), {"event_id": row["id"], "batch_seq": 1, "position": 0})
    with pytest.raises(TamperedError, match=f"event {row['id']} was inserted: no batch holds it"):
        verify_trail()


def test_a_pruned_head_that_was_changed_is_named(clock: time_machine.Traveller) -> None:
    write_events(2)
    seal_all()
    clock.shift(RETENTION * 2)
    list(prune_events())
    with transaction() as session:
        session.execute(update(AuditBatch).values(event_count=1))
    with pytest.raises(TamperedError, match="batch 1 was changed or moved"):
        verify_trail()


def test_a_tampered_batch_is_pruned_logged_and_not_verified(
    clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    first, *_ = write_events(4)
    seal_all()
    with unguarded() as session:
        session.execute(delete(AuditEvent).where(AuditEvent.id == first))
    clock.shift(RETENTION * 2)

    assert list(prune_events()) == [1, 2]

    (line,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert line.getMessage() == "a batch to prune does not verify"
    assert vars(line)["fault"] == f"event {first} was removed (batch 1, position 0)"
    assert vars(line)["batch"] == 1
    assert event_ids() == []
    with pytest.raises(TamperedError, match="batch 1 was changed, or was made under a secret"):
        verify_trail()
    assert find_fault_of_batch(2) is None


@pytest.mark.parametrize(
    ("column", "fault"), [("head", "was changed or moved"), ("mac", "made under a secret")]
)
def test_the_seal_of_a_batch_to_prune_is_checked(column: str, fault: str) -> None:
    write_events()
    seal_all()
    with transaction() as session:
        session.execute(update(AuditBatch).values({column: bytes(32)}))
    assert fault in (find_fault_of_batch(1) or "")


def test_a_batch_that_is_pruned_while_it_is_verified_is_no_fault(
    clock: time_machine.Traveller,
) -> None:
    write_events(4)
    seal_all()
    clock.shift(RETENTION * 2)
    # Both batches have been read when the first is reported; the second one's events then are gone.
    found = verify_trail(progress=lambda _: list(prune_events()))
    assert (found.batches, found.events, found.pruned) == (2, 2, 2)


def test_many_can_prune_seal_and_verify_at_once(
    clock: time_machine.Traveller, make_app: Callable[..., Flask]
) -> None:
    app = make_app(database_pool_size=12)
    write_rows(24)
    seal_all()
    clock.shift(RETENTION * 2)
    write_rows(24)

    def run(work: Callable[[], object]) -> Callable[[], object]:
        def in_context() -> object:
            with app.app_context():
                return persistently(work)

        return in_context

    works = [lambda: list(prune_events()), seal_all, lambda: verify_trail().batches]
    all_at_once([run(work) for work in works * 4])
    seal_all()

    found = verify_trail()
    assert (found.events, found.pruned, found.unsealed) == (24, 24, 0)
