"""Statements that PostgreSQL plans once a connection."""

import pytest
from flask import Flask
from sqlalchemy import bindparam, column, delete, func, insert, select, table, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from authserve.core.clock import now
from authserve.database.constraints import violated_constraint
from authserve.database.refusals import is_refusal
from authserve.database.statements import PreparedStatement, UTCDateTime, table_of
from authserve.database.transactions import execute_prepared, read_all, reading, transaction
from authserve.rbac.models import Role
from tests.support.clients import Caller
from tests.support.marks import both_databases, on_postgresql

pytestmark = [both_databases, pytest.mark.usefixtures("context")]

ROLE = PreparedStatement(select(Role.name).where(Role.name == bindparam("name")), name="role_check")

_ROLES = table_of(Role)

TOUCH = PreparedStatement(
    update(_ROLES)
    .where(_ROLES.c.name == bindparam("wanted"))
    .values(updated_at=bindparam("moment", type_=UTCDateTime))
    .returning(_ROLES.c.is_built_in, _ROLES.c.updated_at),
    name="role_touch",
)

END_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def has_role(name: str) -> bool:
    return bool(read_all(ROLE, {"name": name}))


def plans() -> dict[str, int]:
    """The statements that a pooled connection has planned, and how often each has run."""
    counted = "SELECT name, generic_plans + custom_plans FROM pg_prepared_statements"
    with reading() as connection:
        return {row[0]: row[1] for row in connection.execute(text(counted))}


def alter_pooled_connection(statement: str) -> None:
    with reading() as connection:
        connection.exec_driver_sql(statement)


def test_it_reads_what_an_unmarked_statement_reads() -> None:
    assert [has_role(name) for name in ("user", "unknown", "admin")] == [True, False, True]


@on_postgresql
def test_a_connection_plans_it_once() -> None:
    for _ in range(3):
        has_role("user")
    assert plans() == {"role_check": 3}


@on_postgresql
def test_the_token_check_is_such_a_statement(app: Flask, alice: Caller) -> None:
    alice.get("/api/v1/users/me")
    assert "token_check" in plans()


def test_it_takes_part_in_a_transaction() -> None:
    with transaction() as session:
        session.execute(text("UPDATE roles SET description = 'x'"))
        assert has_role("user")
        session.rollback()
    assert has_role("user")


@on_postgresql
@pytest.mark.parametrize(
    "accident", ["DEALLOCATE ALL", "ALTER TABLE roles ALTER COLUMN name TYPE text", END_OTHERS]
)
def test_a_lost_plan_is_made_anew(accident: str) -> None:
    """A migration under a running service loses it on all connections at once."""
    with reading() as one, reading() as other:
        for connection in (one, other):
            ROLE.run(connection, {"name": "user"})
    alter_pooled_connection(accident)
    assert [has_role("user") for _ in range(4)] == [True] * 4
    # The pool hands out its two connections in turn: each has the plan again.
    assert [list(plans()) for _ in range(2)] == [["role_check"]] * 2


@on_postgresql
def test_a_plan_that_is_there_already_is_no_obstacle() -> None:
    """A pooler passes on connections that other clients have used."""
    alter_pooled_connection("PREPARE role_check (text) AS SELECT 'another''s'")
    assert [has_role("user") for _ in range(2)] == [True] * 2


@on_postgresql
def test_after_a_timeout_it_is_not_run_again(app: Flask) -> None:
    alter_pooled_connection("CREATE SEQUENCE runs")
    slow = PreparedStatement(select(func.nextval("runs"), func.pg_sleep(60)), name="slow")
    with reading() as connection:
        connection.exec_driver_sql("SET statement_timeout = 50")
        with pytest.raises(OperationalError) as caught:
            slow.run(connection, {})
        assert caught.value.orig.pgcode == "57014"
        # Even a cancelled statement does not return a sequence's number.
        runs = connection.exec_driver_sql("SELECT last_value FROM runs").scalar_one()
        connection.invalidate()
    assert runs == 1


def test_its_failures_raise_the_same_errors_as_other_statements() -> None:
    missing = PreparedStatement(
        select(column("x")).select_from(table("missing")), name="missing_table"
    )
    with pytest.raises(DBAPIError) as caught:
        read_all(missing)
    assert is_refusal(caught.value)


def test_a_write_in_a_transaction_returns_converted_values() -> None:
    moment = now()
    with transaction():
        (row,) = execute_prepared(TOUCH, {"wanted": "admin", "moment": moment})
        assert not execute_prepared(TOUCH, {"wanted": "unknown", "moment": moment})
    assert row.is_built_in is True
    assert row.updated_at == moment


def test_a_write_without_returning_returns_no_rows() -> None:
    removal = PreparedStatement(
        delete(_ROLES).where(_ROLES.c.name == bindparam("wanted")), name="role_removal"
    )
    with transaction() as session:
        assert execute_prepared(removal, {"wanted": "admin"}) == []
        assert not has_role("admin")
        session.rollback()


@on_postgresql
def test_transactions_plan_it_once_too() -> None:
    for _ in range(3):
        with transaction():
            execute_prepared(TOUCH, {"wanted": "admin", "moment": now()})
    assert plans() == {"role_touch": 3}


@on_postgresql
@pytest.mark.parametrize(
    "accident", ["DEALLOCATE ALL", "ALTER TABLE roles ALTER COLUMN updated_at TYPE timestamp"]
)
def test_a_plan_lost_in_a_transaction_is_lost_to_one_caller(accident: str) -> None:
    """A migration under a running service loses it on all connections at once."""

    def touch() -> None:
        with transaction():
            execute_prepared(TOUCH, {"wanted": "admin", "moment": now()})

    with reading() as one, reading() as other:
        for connection in (one, other):
            TOUCH.run(connection, {"wanted": "admin", "moment": now()})
        for connection in (one, other):
            connection.exec_driver_sql(accident)
    with pytest.raises(DBAPIError) as caught:
        touch()
    assert is_refusal(caught.value)
    for _ in range(3):
        touch()


def test_its_failure_in_a_transaction_names_the_constraint() -> None:
    moment = now()
    values = {"created_at": moment, "updated_at": moment}
    flags = {"is_built_in": False, "requires_mfa": False, "description": "", "permissions": ""}
    new_role = PreparedStatement(insert(_ROLES), name="new_role")
    with pytest.raises(IntegrityError) as caught, transaction():
        execute_prepared(new_role, {"name": "admin", **values, **flags})
    assert violated_constraint(caught.value) == "pk_roles"
    assert has_role("admin")


@on_postgresql
def test_a_connection_lost_in_a_transaction_is_replaced() -> None:
    with transaction() as session:
        session.connection()
        alter_pooled_connection(END_OTHERS)
        with pytest.raises(DBAPIError) as caught:
            execute_prepared(TOUCH, {"wanted": "admin", "moment": now()})
        session.rollback()
    assert caught.value.connection_invalidated
    with transaction():
        assert execute_prepared(TOUCH, {"wanted": "admin", "moment": now()})
