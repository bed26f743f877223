"""Reading the trail page by page, where times and ids do not agree."""

from datetime import timedelta

import pytest
import time_machine

from authserve.audit.read import EventFilters, Position, find_events, position_of
from authserve.core.clock import now
from authserve.core.events import AuditAction
from authserve.database import sqlite_hints
from tests.support.marks import both_databases
from tests.support.trail import delete_from_trail, event_ids, write_events

pytestmark = [both_databases, pytest.mark.usefixtures("clock", "context")]

HOUR = timedelta(hours=1)


def test_an_event_is_found_by_its_time_though_the_clock_was_set_back(
    clock: time_machine.Traveller,
) -> None:
    (first,) = write_events()
    at_first = now()
    clock.shift(-2 * HOUR)
    (second,) = write_events()
    assert second > first
    between = at_first - HOUR
    assert [event.id for event in find_events(EventFilters(after=between), limit=10)] == [first]
    assert [event.id for event in find_events(EventFilters(before=between), limit=10)] == [second]
    both = EventFilters(after=at_first - 3 * HOUR)
    assert [event.id for event in find_events(both, limit=10)] == [first, second]


@pytest.mark.parametrize("common", [1, 1_000])
def test_an_action_within_a_time_is_found_however_common_it_is(
    monkeypatch: pytest.MonkeyPatch, common: int
) -> None:
    monkeypatch.setattr(sqlite_hints, "COMMON", common)
    write_events()
    deletion = delete_from_trail()
    filters = EventFilters(action=AuditAction.USER_DELETED, after=now() - HOUR)
    assert [event.id for event in find_events(filters, limit=10)] == [deletion]


@pytest.mark.parametrize("days", [None, 1], ids=["by id", "by time"])
def test_pages_hold_every_event_of_a_moment_once_while_others_are_added(
    clock: time_machine.Traveller, days: int | None
) -> None:
    filters = EventFilters(after=now() - timedelta(days=days) if days else None)
    for _ in range(3):
        write_events(3)
        clock.shift(timedelta(microseconds=1))
    newest_first = event_ids()[::-1]
    read = []
    before: Position | None = None
    while page := find_events(filters, limit=2, before=before):
        read += [event.id for event in page]
        before = position_of(page[-1])
        write_events()
    assert read == newest_first
