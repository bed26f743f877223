"""Sealing: batches without gaps or doubles, for any sealer and any order of commits."""

import logging
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, insert, select

from authserve.audit import seal
from authserve.audit.models import AuditBatch, AuditChain, AuditDetail, AuditEvent, AuditUnsealed
from authserve.audit.seal import seal_events
from authserve.audit.verify import verify_trail
from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.clock import now
from authserve.core.events import AuditAction
from authserve.core.ids import new_id
from authserve.database.emit import emit
from authserve.database.transactions import db, read_all, transaction
from tests.support.crowd import all_at_once, persistently
from tests.support.databases import executed
from tests.support.marks import both_databases, on_postgresql
from tests.support.trail import (
    detail_row,
    event_ids,
    event_row,
    places,
    seal_all,
    write_events,
    write_rows,
)

pytestmark = [both_databases, pytest.mark.usefixtures("context")]

SEALERS = 20


def count_unsealed() -> int:
    return int(read_all(select(func.count(AuditUnsealed.event_id)))[0][0])


@pytest.mark.usefixtures("small_slices")
def test_it_seals_in_order_and_in_bounded_batches() -> None:
    ids = write_events(5)
    assert seal_all() == [2, 2, 1]
    assert places() == dict(zip(ids, [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0)], strict=True))
    assert count_unsealed() == 0
    assert seal_all() == []


@pytest.mark.usefixtures("small_slices")
def test_each_batch_is_committed_when_it_is_reported() -> None:
    write_events(4)
    slices = seal_events()
    assert next(slices) == 2
    assert len(places()) == 2
    assert list(slices) == [2]


@pytest.mark.usefixtures("small_slices")
def test_each_batch_is_chained_to_the_one_before() -> None:
    write_events(5)
    seal_all()
    batches = read_all(select(AuditBatch.__table__).order_by(AuditBatch.seq))
    assert [batch.seq for batch in batches] == [1, 2, 3]
    assert batches[0].previous_head == bytes(32)
    assert [batch.previous_head for batch in batches[1:]] == [b.head for b in batches[:-1]]
    (end,) = read_all(select(AuditChain.__table__))
    assert (end.seq, end.head, end.is_pruning) == (3, batches[-1].head, False)


def test_a_batch_spans_the_times_of_its_events_in_any_order() -> None:
    """The clock of another machine may be behind, so ids and times differ in their order."""
    moment = now()
    rows = [event_row(occurred_at=moment + timedelta(seconds=after)) for after in (1, 0, 3, 2)]
    with transaction() as session:
        session.execute(insert(AuditEvent), rows)
        session.execute(insert(AuditDetail), [detail_row(row["id"]) for row in rows])
    assert seal_all() == [4]
    (batch,) = read_all(select(AuditBatch.oldest_at, AuditBatch.newest_at))
    assert (batch.oldest_at, batch.newest_at) == (moment, moment + timedelta(seconds=3))


def test_it_logs_each_batch_and_its_head(caplog: pytest.LogCaptureFixture) -> None:
    write_events(3)
    with caplog.at_level(logging.INFO, logger="authserve.audit"):
        seal_all()
    (line,) = caplog.records
    (batch,) = read_all(select(AuditBatch.seq, AuditBatch.head))
    assert line.getMessage() == "audit batch sealed"
    assert (vars(line)["batch"], vars(line)["head"], vars(line)["events"]) == (
        batch.seq,
        batch.head.hex(),
        3,
    )


def test_without_new_events_it_takes_no_lock() -> None:
    write_events()
    seal_all()
    with executed(db.engine) as sent:
        assert seal_all() == []
    assert len(sent) == 1


def test_of_twenty_sealers_none_doubles_or_skips(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seal, "SEAL_SLICE", 7)
    app = make_app(database_pool_size=SEALERS)
    write_rows(100)

    def seal_some() -> int:
        with app.app_context():
            return sum(persistently(seal_all))

    sealed = sum(all_at_once([seal_some] * SEALERS)) + sum(seal_all())

    # A sealer that lost the race and tries again no longer reports what it had sealed before.
    assert sealed <= 100
    assert count_unsealed() == 0
    assert sorted(places()) == event_ids()
    sizes = [row.event_count for row in read_all(select(AuditBatch.event_count))]
    assert sum(sizes) == 100
    assert max(sizes) <= 7
    taken = sorted(places().values())
    assert taken == [(seq + 1, at) for seq, size in enumerate(_by_seq()) for at in range(size)]
    assert verify_trail().events == 100


def _by_seq() -> list[int]:
    rows = read_all(select(AuditBatch.event_count).order_by(AuditBatch.seq))
    return [row.event_count for row in rows]


@on_postgresql
def test_a_sealer_without_the_lock_leaves_the_work_to_its_holder(app: Flask) -> None:
    write_events()
    with transaction() as session:
        session.execute(select(AuditChain).with_for_update())
        with app.app_context():
            assert seal_all() == []
    assert seal_all() == [1]


@on_postgresql
def test_an_event_that_commits_late_gets_into_a_later_batch(app: Flask) -> None:
    with transaction():
        emit(AuditAction.USER_REGISTERED, actor=VISITOR, request=RequestInfo())
        with app.app_context():
            write_events(2)
            assert seal_all() == [2]
    assert seal_all() == [1]
    late, *_ = event_ids()
    assert places()[late] == (2, 0)
    assert verify_trail().events == 3


def test_an_event_with_an_older_id_gets_into_a_later_batch() -> None:
    late = event_row(id=new_id())
    write_events(2)
    seal_all()
    with transaction() as session:
        session.execute(insert(AuditEvent), late)
        session.execute(insert(AuditDetail), detail_row(late["id"]))
    assert seal_all() == [1]
    assert places()[late["id"]] == (2, 0)
    assert verify_trail().events == 3


def test_nothing_is_sealed_of_a_transaction_that_rolled_back() -> None:
    def fail() -> None:
        with transaction():
            emit(AuditAction.USER_REGISTERED, actor=VISITOR, request=RequestInfo())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert seal_all() == []


@on_postgresql
def test_ten_thousand_events_are_sealed_in_bounded_slices() -> None:
    write_rows(10_000)
    with executed(db.engine) as sent:
        sizes = seal_all()
    assert sizes == [500] * 20
    # Each read is bounded, too: every query of events has a limit.
    reads = [statement for statement, _ in sent if statement.startswith("SELECT audit_events")]
    assert reads
    assert all("LIMIT" in statement for statement in reads)
    assert verify_trail().events == 10_000
