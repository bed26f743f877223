"""The indexes serve the statements that the service really sends, on PostgreSQL.

The planner is asked about each statement, with a few thousand rows and their statistics. Prepared
statements are asked about by name, all others are caught on their way to the database.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import text

from authserve.app import create_app
from authserve.auth.queries import _TOKEN_CHECK
from authserve.auth.session_writes import _START
from authserve.database.statements import PreparedStatement
from authserve.database.transactions import db, transaction
from authserve.users.credentials import _BY_EMAIL, _BY_USERNAME
from authserve.users.lists import UserFilters, page_of_users, search_users
from authserve.users.passwords import _RECORD_FIRST_TRY
from authserve.users.search import Match, find_by_beginning
from tests.conftest import PostgreSQL, make_settings
from tests.support.databases import executed

ROWS = 4_000

FILL = (
    """
    INSERT INTO users (id, audit_id, email, username, display_name, name_key, is_active,
                       created_at, updated_at)
    SELECT lpad(to_hex(n), 32, '0')::uuid, gen_random_uuid(), 'user' || n || '@example.com',
           'user' || n, 'User ' || n, 'user ' || n, n % 100 <> 0,
           timestamptz '2026-01-01 00:00Z' + n * interval '1 second', now()
    FROM generate_series(1, :rows) AS n
    """,
    """
    INSERT INTO user_roles (user_id, role_name)
    SELECT id, CASE WHEN username = 'user1' THEN 'admin' ELSE 'user' END FROM users
    """,
    """
    INSERT INTO sessions (id, user_id, generation, family_digest, created_at, last_used_at,
                          idle_expires_at, expires_at, amr, auth_time)
    SELECT id, id, 0, '\\x00', now(), now(), now() + interval '1 day', now() + interval '2 days',
           '["pwd"]', now()
    FROM users
    """,
)

MIDDLE = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=ROWS // 2)
CURSOR = (MIDDLE, UUID(int=ROWS // 2))


@dataclass(frozen=True)
class Plan:
    """The planner's output for one statement."""

    text: str

    def scans(self, table: str) -> list[str]:
        """Return its scans of a table, for example `Index Scan using pk_users`."""
        return re.findall(rf"-> +([^\n]*Scan[^\n]*) on {table}\b", f"-> {self.text}")

    @property
    def indexes(self) -> set[str]:
        """The indexes that it uses."""
        return set(re.findall(r"(?:using|Bitmap Index Scan on) (\w+)", self.text))


@pytest.fixture(scope="module")
def filled(postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An application with a few thousand users, each with a session and a role."""
    url = postgresql.create("plans", template="template")
    folder: Path = tmp_path_factory.mktemp("plans")
    app = create_app(make_settings(url, folder))
    with app.app_context():
        with transaction() as session:
            for statement in FILL:
                session.execute(text(statement), {"rows": ROWS})
        with transaction() as session:
            session.execute(text("ANALYZE"))
        yield app
        db.engine.dispose()
    postgresql.drop("plans")


@pytest.fixture
def explain(filled: Flask) -> Callable[[Callable[[], object]], Plan]:
    """The plan of the one statement on accounts that a call sends."""

    def explain(call: Callable[[], object]) -> Plan:
        with executed(db.engine) as sent:
            call()
        statements = [
            (sql, values)
            for sql, values in sent
            # The second statement of a search reads what the first has found by its keys.
            if ("FROM users" in sql or "JOIN users" in sql) and "users.id IN" not in sql
        ]
        assert len(statements) == 1
        sql, values = statements[0]
        with db.engine.connect() as connection:
            lines = connection.exec_driver_sql(f"EXPLAIN {sql}", values).scalars()
            return Plan("\n".join(lines))

    return explain


Explain = Callable[[Callable[[], Any]], Plan]


def explain_prepared(prepared: PreparedStatement) -> Plan:
    """Return the plan that holds for all values, since a connection plans the statement once."""
    compiled = prepared.statement.compile(db.engine)
    places = {name: f"${number}" for number, name in enumerate(compiled.bind_names.values(), 1)}
    with db.engine.connect() as connection:
        query = f"EXPLAIN (GENERIC_PLAN) {str(compiled) % places}"
        return Plan("\n".join(connection.exec_driver_sql(query).scalars()))


def test_a_sign_in_by_address_reads_one_entry_of_its_index(filled: Flask) -> None:
    assert explain_prepared(_BY_EMAIL).scans("users") == ["Index Scan using uq_users_email"]


def test_a_sign_in_by_username_reads_one_entry_of_its_index(filled: Flask) -> None:
    assert explain_prepared(_BY_USERNAME).scans("users") == ["Index Scan using uq_users_username"]


def test_the_token_check_reads_sessions_and_users_by_their_keys(filled: Flask) -> None:
    plan = explain_prepared(_TOKEN_CHECK)
    assert plan.scans("sessions") == ["Index Scan using pk_sessions"]
    assert plan.scans("users") == ["Index Scan using pk_users"]
    assert "pk_user_roles" in plan.indexes, plan.text


def test_a_sign_in_writes_by_the_keys_of_account_and_sessions(filled: Flask) -> None:
    plan = explain_prepared(_RECORD_FIRST_TRY)
    assert plan.scans("users") == ["Index Scan using pk_users"]
    plan = explain_prepared(_START)
    assert not [scan for scan in plan.scans("sessions") if "Seq Scan" in scan], plan.text
    assert set(plan.scans("users")) == {"Index Scan using pk_users"}


@pytest.mark.parametrize("is_active", [None, True, False])
def test_a_page_of_the_list_begins_where_the_last_one_ended(
    explain: Explain, is_active: bool | None
) -> None:
    filters = UserFilters(is_active=is_active)
    for list_page in (
        lambda: page_of_users(filters, limit=50, after=CURSOR),
        lambda: search_users(filters, limit=50, after=CURSOR),
    ):
        plan = explain(list_page)
        (scan,) = plan.scans("users")
        assert "Index Scan" in scan, plan.text
        assert "Sort" not in plan.text
    if is_active is False:
        # One in a hundred: no plan reads all the others to find them.
        assert plan.indexes == {"ix_users_is_active_created_at_id"}


@pytest.mark.parametrize("is_active", [None, True, False])
@pytest.mark.parametrize(
    "bounds", [{"created_before": MIDDLE}, {"created_after": MIDDLE}], ids=["before", "after"]
)
def test_a_page_by_time_reads_nothing_that_it_leaves_out(
    explain: Explain, bounds: dict[str, datetime], is_active: bool | None
) -> None:
    filters = UserFilters(is_active=is_active, **bounds)
    plan = explain(lambda: search_users(filters, limit=50))
    assert "Sort" not in plan.text
    (condition,) = re.findall(r"Index Cond: (.*)", plan.text)
    assert "created_at" in condition
    if not is_active:
        # Of a hundred, one is not active: to take that one out of the rest costs nothing.
        assert "Filter" not in plan.text


@pytest.mark.parametrize("is_active", [None, True])
@pytest.mark.parametrize(
    ("beginning", "after"),
    [("user", None), ("user1", None), ("user1", ("user15", 1, UUID(int=15)))],
)
def test_a_page_of_a_search_begins_in_each_index_where_it_has_to(
    explain: Explain, beginning: str, after: Match | None, is_active: bool | None
) -> None:
    filters = UserFilters(is_active=is_active)
    plan = explain(lambda: find_by_beginning(beginning, filters, limit=50, after=after))
    assert "Sort" not in plan.text
    scans = plan.scans("users")
    assert len(scans) == 3
    assert all("Index Scan" in scan for scan in scans), plan.text
    assert plan.indexes <= {"uq_users_email", "uq_users_username", "ix_users_name_key_id"}


def test_a_domain_is_looked_up_in_its_index(explain: Explain) -> None:
    plan = explain(lambda: search_users(UserFilters(domain="nowhere.example"), limit=50))
    assert plan.indexes == {"ix_users_email_domain"}


def test_changes_are_read_in_their_order(explain: Explain) -> None:
    plan = explain(lambda: search_users(UserFilters(updated_after=MIDDLE), limit=50))
    assert plan.indexes == {"ix_users_updated_at_id"}
    assert "Sort" not in plan.text
