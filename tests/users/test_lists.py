"""Finding many accounts at once."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
import time_machine
from sqlalchemy import text

from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.clock import now
from authserve.database import sqlite_hints
from authserve.database.transactions import db, transaction
from authserve.rbac.assignment import holders_of
from authserve.users.accounts import ref_of, update_profile
from authserve.users.bulk import ImportedUser, add_users_in_bulk
from authserve.users.lists import (
    Position,
    UserFilters,
    page_of_users,
    position_in,
    position_of,
    search_users,
)
from authserve.users.lookup import get_user_by_reference
from authserve.users.models import User
from tests.factories import make_user
from tests.support.databases import executed
from tests.support.marks import both_databases, on_sqlite

pytestmark = [both_databases, pytest.mark.usefixtures("context")]


@pytest.fixture
def people(context: None) -> list[str]:
    """The names of three Anns and a Bob, the newest first."""
    names = ["ann1", "bob", "ann2", "ann3"]
    for name in names:
        make_user(name)
    return names[::-1]


@pytest.fixture(params=[2, 1_000], ids=["common", "rare"])
def few_are_common(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the number of accounts from which a value counts as common."""
    monkeypatch.setattr(sqlite_hints, "COMMON", request.param)


def names_of(users: Sequence[User]) -> list[str]:
    return [str(user.username) for user in users]


@pytest.mark.usefixtures("few_are_common", "people")
def test_a_list_by_role_is_the_same_however_many_there_are() -> None:
    with transaction() as session:
        holders = "SELECT id, 'user' FROM users WHERE username <> 'bob'"
        session.execute(text(f"INSERT INTO user_roles {holders}"))
    filters = UserFilters(ids=holders_of("user"))
    assert names_of(search_users(filters, limit=10)) == ["ann3", "ann2", "ann1"]


MOMENT = datetime(2020, 2, 29, 12, tzinfo=UTC)


def import_people(*names: str, created_at: datetime = MOMENT) -> None:
    """Add accounts of another system, all made at once, whose ids do not reveal the time."""
    with transaction():
        add_users_in_bulk(
            [
                ImportedUser(
                    id=uuid4(), email=f"{name}@example.com", username=name, created_at=created_at
                )
                for name in names
            ]
        )


TOGETHER = [f"together{number}" for number in range(7)]


def test_an_imported_account_is_listed_by_its_time(people: list[str]) -> None:
    import_people("old")
    import_people("ancient", created_at=MOMENT - timedelta(microseconds=1))
    newest_first = [*people, "old", "ancient"]
    assert names_of(search_users(UserFilters(), limit=10)) == newest_first
    assert names_of(page_of_users(limit=10)) == newest_first[::-1]


@pytest.mark.parametrize("is_active", [None, True])
def test_pages_hold_every_account_once_while_others_are_added(
    people: list[str], is_active: bool | None
) -> None:
    import_people(*TOGETHER)
    filters = UserFilters(is_active=is_active)
    at_first = names_of(search_users(filters, limit=100))
    assert at_first[:4] == people
    read: list[str] = []
    after: Position | None = None
    while page := search_users(filters, limit=2, after=after):
        read += names_of(page)
        after = position_of(page[-1])
        make_user(f"late{len(read)}")
    assert read == at_first
    assert sorted(read[4:]) == TOGETHER


def test_accounts_that_changed_come_in_the_order_of_their_changes(
    clock: time_machine.Traveller, people: list[str]
) -> None:
    asked_at = now()
    for name in ("ann2", "bob", "ann1"):
        clock.shift(1)
        user = ref_of(get_user_by_reference(name))
        update_profile(user, {"display_name": "New"}, actor=VISITOR, request=RequestInfo())
    filters = UserFilters(updated_after=asked_at)
    first = search_users(filters, limit=2)
    assert names_of(first) == ["ann2", "bob"]
    after = position_in(filters)(first[-1])
    assert names_of(search_users(filters, limit=2, after=after)) == ["ann1"]
    assert search_users(UserFilters(updated_after=now()), limit=2) == []


def test_pages_from_the_oldest_hold_every_account_once(people: list[str]) -> None:
    import_people(*TOGETHER)
    read: list[str] = []
    after: Position | None = None
    while page := page_of_users(limit=2, after=after):
        read += names_of(page)
        after = position_of(page[-1])
    assert sorted(read[:7]) == TOGETHER
    assert read[7:] == people[::-1]


def plan_of(filters: UserFilters, *, after: Position | None = None) -> str:
    """Return SQLite's plan for a page of a list."""
    with executed(db.engine) as sent:
        search_users(filters, limit=50, after=after)
    statement, values = sent[-1]
    with transaction() as session:
        rows = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        return "\n".join(row[3] for row in rows)


@pytest.fixture
def many(context: None) -> None:
    """Two thousand accounts that begin with `user` and hold one role, all made at once."""
    with transaction() as session:
        session.execute(
            text(
                """
                INSERT INTO users (id, audit_id, email, username, created_at, updated_at)
                SELECT printf('%032x', value), printf('%032x', value),
                       'user' || value || '@example.com', 'user' || value, :now, :now
                FROM json_each(:numbers)
                """
            ),
            {"now": "2026-01-01 00:00:00.000000", "numbers": str(list(range(1, 2_001)))},
        )
        session.execute(
            text("INSERT INTO user_roles (user_id, role_name) SELECT id, 'user' FROM users")
        )


@on_sqlite
@pytest.mark.usefixtures("many")
def test_sqlite_sorts_only_few() -> None:
    assert "SEARCH users USING INDEX sqlite_autoindex_users" in plan_of(
        UserFilters(ids=holders_of("admin"))
    )
    plan = plan_of(UserFilters(ids=holders_of("user")))
    assert "SCAN users USING INDEX ix_users_created_at_id" in plan
    assert "TEMP B-TREE" not in plan
    assert "LIST SUBQUERY" not in plan


@on_sqlite
@pytest.mark.parametrize(
    ("filters", "after", "searched"),
    [
        (UserFilters(created_before=MOMENT), None, "created_at_id (created_at<?)"),
        (UserFilters(created_after=MOMENT), None, "created_at_id (created_at>?)"),
        (UserFilters(), (MOMENT, UUID(int=1)), "created_at_id ((created_at,id)<(?,?))"),
        (
            UserFilters(is_active=False, created_before=MOMENT),
            None,
            "is_active_created_at_id (is_active=? AND created_at<?)",
        ),
        (
            UserFilters(is_active=False),
            (MOMENT, UUID(int=1)),
            "is_active_created_at_id (is_active=? AND (created_at,id)<(?,?))",
        ),
        (UserFilters(mfa_enabled=True), None, "mfa_enabled_created_at_id (mfa_enabled=?)"),
        (UserFilters(domain="example.com", is_active=True), None, "email_domain (<expr>=?)"),
        (
            UserFilters(domain="example.com", mfa_enabled=True),
            (MOMENT, UUID(int=1)),
            "email_domain (<expr>=? AND (created_at,id)<(?,?))",
        ),
        (
            UserFilters(updated_after=MOMENT, is_active=True, created_after=MOMENT),
            None,
            "updated_at_id (updated_at>?)",
        ),
        (
            UserFilters(updated_after=MOMENT - timedelta(days=1)),
            (MOMENT, UUID(int=1)),
            "updated_at_id ((updated_at,id)>(?,?))",
        ),
    ],
)
def test_sqlite_begins_where_the_page_does(
    filters: UserFilters, after: Position | None, searched: str
) -> None:
    assert plan_of(filters, after=after) == f"SEARCH users USING INDEX ix_users_{searched}"


@on_sqlite
@pytest.mark.usefixtures("many")
def test_what_is_common_is_found_in_the_order_of_the_list() -> None:
    newest = [f"user{number}" for number in range(2_000, 1_990, -1)]
    assert names_of(search_users(UserFilters(ids=holders_of("user")), limit=10)) == newest
