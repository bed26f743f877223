"""Finding many accounts at once."""

from uuid import UUID

import pytest
from sqlalchemy import text

from authserve.core.db import db, transaction
from authserve.users.service import UserFilters, search_users
from authserve.users.service import lists as lists_module
from tests.factories import make_user
from tests.support.databases import executed, on_sqlite

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def people(context: None) -> list[UUID]:
    """The ids of three Anns and a Bob, the newest first."""
    ids = [make_user(name).id for name in ("ann1", "bob", "ann2", "ann3")]
    return ids[::-1]


@pytest.fixture(params=[2, 1_000], ids=["common", "rare"])
def few_are_common(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """From how many accounts on a beginning is common."""
    monkeypatch.setattr(lists_module, "_COMMON", request.param)


def found(beginning: str, *, limit: int = 10, before: UUID | None = None) -> list[UUID]:
    filters = UserFilters(beginning=beginning)
    return [user.id for user in search_users(filters, limit=limit, before=before)]


@pytest.mark.usefixtures("few_are_common")
def test_a_search_finds_the_same_however_many_there_are(people: list[UUID]) -> None:
    newest, second, bob, oldest = people
    assert found("ann") == [newest, second, oldest]
    assert found("ANN", limit=2) == [newest, second]
    assert found("ann", before=second) == [oldest]
    assert found("bob@") == [bob]
    assert found("nobody") == []


def plan_of_a_search(beginning: str) -> str:
    """How SQLite goes about it."""
    with executed(db.engine) as sent:
        found(beginning, limit=50)
    statement, values = sent[-1]
    with transaction() as session:
        rows = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        return "\n".join(row[3] for row in rows)


@pytest.fixture
def many(context: None) -> None:
    """Two thousand accounts that begin with `user`."""
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


@on_sqlite
@pytest.mark.usefixtures("many")
def test_sqlite_sorts_only_few() -> None:
    assert "MULTI-INDEX OR" in plan_of_a_search("user1234@")
    common = plan_of_a_search("user")
    assert "SCAN users USING INDEX" in common
    assert "TEMP B-TREE" not in common


@on_sqlite
@pytest.mark.usefixtures("many")
def test_a_common_beginning_is_found_in_the_order_of_ids() -> None:
    newest = [UUID(int=number) for number in range(2_000, 1_990, -1)]
    assert found("user") == newest
