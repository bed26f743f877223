"""The list of events reads what it shows, on both databases, however much it leaves out."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from authserve.app import create_app
from authserve.audit.new_sign_ins import find_new_sign_in
from authserve.audit.own_events import find_own_events
from authserve.audit.read import EventFilters, Position, find_events
from authserve.core.clock import now
from authserve.core.events import AuditAction
from authserve.database.transactions import db, transaction
from tests.conftest import fresh_database, make_settings
from tests.support.databases import executed
from tests.support.marks import both_databases
from tests.support.trail import ALICE, write_rows

pytestmark = both_databases

COMMON, RARE = AuditAction.USER_REGISTERED, AuditAction.USER_DELETED

LATER = now() + timedelta(days=1)
SOMEWHERE: Position = (LATER, UUID(int=2**127))


@pytest.fixture(scope="module", autouse=True)
def many(
    request: pytest.FixtureRequest, database_kind: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """A few thousand events of one action, and PostgreSQL's statistics of them; tests only read."""
    folder = tmp_path_factory.mktemp("events")
    with (
        fresh_database(request, database_kind, folder) as url,
        create_app(make_settings(url, folder)).app_context(),
    ):
        write_rows(3_000)
        if database_kind == "postgresql":
            with transaction() as session:
                session.execute(text("ANALYZE"))
        yield
        db.engine.dispose()


def plan_of(filters: EventFilters, before: Position | None) -> str:
    """Return the database's plan for a page of the list."""
    with executed(db.engine) as sent:
        find_events(filters, limit=50, before=before)
    ((statement, values),) = [each for each in sent if "audit_details" in each[0]]
    return explain(statement, values)


def explain(statement: str, values: Any) -> str:
    """Return the database's plan for a statement."""
    is_sqlite = db.engine.dialect.name == "sqlite"
    with transaction() as session:
        connection = session.connection()
        word = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN"
        rows = connection.exec_driver_sql(f"{word} {statement}", values)
        return "\n".join(row[3 if is_sqlite else 0] for row in rows)


def index_of(plan: str) -> str:
    """Return the index by which a plan reads the events."""
    sqlite = r"(?:SEARCH|SCAN) audit_events USING INDEX (\w+)"
    postgresql = r"Index Scan(?: Backward)? using (\w+) on audit_events"
    (found,) = re.findall(f"{sqlite}|{postgresql}", plan)
    return "".join(found)


@pytest.mark.parametrize("before", [None, SOMEWHERE])
@pytest.mark.parametrize(
    "filters",
    [
        EventFilters(before=LATER),
        EventFilters(after=LATER),
        EventFilters(before=LATER, action=COMMON),
    ],
    ids=["before", "after", "before, of a common action"],
)
def test_a_page_by_time_begins_where_the_index_of_times_has_it(
    filters: EventFilters, before: Position | None
) -> None:
    plan = plan_of(filters, before)
    assert index_of(plan) == "ix_audit_events_occurred_at"
    assert re.search(r"\(occurred_at[<>]\?|Index Cond: \(+occurred_at [<>]", plan), plan
    # Only events of the same microsecond are sorted.
    assert re.search(r"Presorted Key: audit_events.occurred_at|FOR (RIGHT PART|LAST TERM) OF", plan)


@pytest.mark.parametrize("before", [None, SOMEWHERE])
@pytest.mark.parametrize("by_time", [False, True])
def test_the_events_of_a_request_are_looked_up(before: Position | None, by_time: bool) -> None:
    filters = EventFilters(correlation_id="look-for-me", before=LATER if by_time else None)
    assert index_of(plan_of(filters, before)) == "ix_audit_events_correlation_id_id"


@pytest.mark.parametrize("before", [None, UUID(int=2**127)])
def test_own_events_are_two_ranges_of_two_indexes(before: UUID | None) -> None:
    with executed(db.engine) as sent:
        find_own_events(ALICE, limit=50, before=before)
    plan = explain(*next(each for each in sent if "audit_details" in each[0]))
    for column in ("actor", "subject"):
        assert f"ix_audit_events_{column}_audit_id_id" in plan, plan
    assert not re.search(r"Seq Scan on audit_events|SCAN audit_events", plan), plan


def test_new_sign_ins_are_searched_in_one_range_and_among_its_details_alone() -> None:
    with executed(db.engine) as sent:
        find_new_sign_in(ALICE, seen_at=None, asking_id=UUID(int=1), now=now())
    plan = explain(*sent[0])
    assert index_of(plan) == "ix_audit_events_subject_audit_id_id"
    # Each event's details are looked up: nothing reads those of other users.
    assert re.search(
        r"Index Cond: \(event_id = |audit_details USING INDEX \S+ \(event_id=\?\)", plan
    )


def test_a_rare_action_is_looked_up_at_any_time() -> None:
    plan = plan_of(EventFilters(before=LATER, action=RARE), None)
    assert index_of(plan) == "ix_audit_events_action_id"


@pytest.mark.parametrize("before", [None, SOMEWHERE])
def test_a_page_of_an_action_is_read_in_its_order(before: Position | None) -> None:
    plan = plan_of(EventFilters(action=RARE), before)
    assert index_of(plan) == "ix_audit_events_action_id"
    assert "ORDER BY" not in plan
