"""Exporting: every event, in bounded memory."""

from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import delete

from authserve.audit import read
from authserve.audit.models import AuditDetail
from authserve.audit.read import EventFilters, export_events, find_events
from authserve.core.clock import now
from authserve.database.transactions import db, transaction
from tests.support.databases import executed
from tests.support.marks import both_databases
from tests.support.trail import ALICE, event_ids, seal_all, write_events, write_rows

pytestmark = pytest.mark.usefixtures("clock", "context")


@pytest.fixture
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "EXPORT_SLICE", 2)


@pytest.mark.usefixtures("two_at_once")
def test_it_yields_every_event_as_the_api_shows_it() -> None:
    write_events(5)
    seal_all()
    write_events(2)
    exported = list(export_events())
    shown = find_events(EventFilters(), limit=100)
    assert [item.event for item in exported] == list(reversed(shown))
    assert [item.batch for item in exported] == [1] * 5 + [None] * 2
    assert {item.actor_audit_id for item in exported} == {ALICE.audit_id}
    assert {item.subject_audit_id for item in exported} == {ALICE.audit_id}


@both_databases
@pytest.mark.usefixtures("two_at_once")
def test_it_goes_by_time_and_leaves_the_bounds_out(clock: time_machine.Traveller) -> None:
    moments, ids = [], []
    for _ in range(5):
        moments.append(now())
        ids += write_events(3)
        clock.shift(timedelta(seconds=1))

    def exported(**bounds: object) -> list[object]:
        return [item.event.id for item in export_events(**bounds)]  # type: ignore[arg-type]

    assert exported() == ids
    assert exported(after=moments[1]) == ids[6:]
    assert exported(before=moments[3]) == ids[:9]
    assert exported(after=moments[1], before=moments[3]) == ids[6:9]
    assert exported(after=moments[4]) == []


@both_databases
@pytest.mark.usefixtures("two_at_once")
def test_events_of_one_moment_are_neither_doubled_nor_lost() -> None:
    write_rows(7)
    assert [item.event.id for item in export_events()] == event_ids()


def test_erased_details_are_empty() -> None:
    write_events()
    with transaction() as session:
        session.execute(delete(AuditDetail))
    (exported,) = export_events()
    assert (exported.event.ip, exported.event.user_agent, exported.event.details) == (
        None,
        None,
        {},
    )


@both_databases
def test_it_reads_in_slices() -> None:
    write_rows(2_500)
    with executed(db.engine) as sent:
        assert sum(1 for _ in export_events()) == 2_500
    reads = [statement for statement, _ in sent if "FROM audit_events" in statement]
    assert len(reads) == 4
    assert all("LIMIT" in statement for statement in reads)
