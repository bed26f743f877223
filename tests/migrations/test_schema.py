"""The migrations, step by step, make the schema of the models."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    event,
    insert,
    select,
    text,
)

import authserve.apikeys.models
import authserve.clients.models
import authserve.federation.models
import authserve.oidc.models  # noqa: F401 - so that tables of optional features are there
from authserve.core.ids import new_id
from authserve.database.readiness import (
    MIGRATIONS_FOLDER,
    current_revision,
    expected_revision,
    is_of_newer_release,
)
from authserve.database.statements import CONDITION, Base
from authserve.database.transactions import db, read_all
from authserve.rbac.models import Role
from authserve.rbac.policy import BUILT_IN_ROLES, Permission, from_scopes
from authserve.users.models import User
from tests.support.marks import both_databases
from tests.support.schema import describe_code, describe_tables

pytestmark = both_databases

REVISIONS = [
    script.revision
    for script in reversed(list(ScriptDirectory(str(MIGRATIONS_FOLDER)).walk_revisions()))
]


def describe(*, with_code: bool = True) -> tuple[dict[str, Any], set[str]]:
    with db.engine.connect() as connection:
        code = describe_code(connection) if with_code else set()
        return describe_tables(connection), code


def test_each_revision_follows_one_other() -> None:
    assert [f"{number:04}" for number in range(1, len(REVISIONS) + 1)] == REVISIONS
    assert expected_revision() == REVISIONS[-1]
    assert not any(map(is_of_newer_release, REVISIONS))


def test_every_step_can_be_taken_and_taken_back(empty: Flask) -> None:
    states = {None: describe()}
    assert states[None] == ({}, set())
    for revision in REVISIONS:
        upgrade(revision=revision)
        assert current_revision() == revision
        states[revision] = describe()
    for revision, before in zip(
        reversed(REVISIONS), [*reversed(REVISIONS[:-1]), None], strict=True
    ):
        downgrade()
        assert describe() == states[before], f"what {revision} leaves behind"
    upgrade()
    assert describe() == states[REVISIONS[-1]]


def test_all_steps_can_be_taken_back_at_once(empty: Flask) -> None:
    upgrade()
    downgrade(revision="base")
    assert describe() == ({}, set())
    assert current_revision() is None


def drift(connection: Connection) -> list[Any]:
    # Of SQLite's defaults Alembic misreads an empty text; the test below compares them all.
    with_defaults = connection.dialect.name != "sqlite"
    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "compare_server_default": with_defaults}
    )
    return compare_metadata(context, Base.metadata)


@pytest.mark.usefixtures("context")
def test_alembic_finds_no_difference_from_the_models() -> None:
    with db.engine.connect() as connection:
        assert drift(connection) == []


def test_the_models_by_themselves_would_make_the_same_tables(app: Flask, empty: Flask) -> None:
    """Alembic compares neither collations nor what a foreign key does nor partial indexes."""
    with app.app_context():
        migrated, _ = describe(with_code=False)
    Base.metadata.create_all(db.engine)
    modelled, _ = describe(with_code=False)
    assert set(migrated) == set(modelled)
    for table in sorted(migrated):
        assert migrated[table] == modelled[table], table


@pytest.mark.usefixtures("context")
def test_every_constraint_has_the_name_of_the_convention() -> None:
    with db.engine.connect() as connection:
        found = MetaData()
        found.reflect(connection)
    migrated = {
        (table.name, constraint.name)
        for table in found.tables.values()
        for constraint in table.constraints
        if table.name in Base.metadata.tables
    }
    modelled = {
        (table.name, constraint.name)
        for table in Base.metadata.tables.values()
        for constraint in table.constraints
    }
    assert migrated == modelled


def test_every_foreign_key_has_an_index() -> None:
    """Without one, deleting a user would read all of every table that refers to users."""
    for table in Base.metadata.tables.values():
        whole = [index for index in table.indexes if CONDITION not in index.info]
        indexed = [list(index.columns.keys()) for index in whole]
        indexed += [
            list(key.columns.keys())
            for key in table.constraints
            if isinstance(key, PrimaryKeyConstraint | UniqueConstraint)
        ]
        for key in table.foreign_key_constraints:
            columns = key.column_keys
            assert any(names[: len(columns)] == columns for names in indexed), key.name


@pytest.mark.usefixtures("context")
def test_the_built_in_roles_are_those_of_the_policy() -> None:
    rows = {
        row.name: row for row in read_all(select(Role.name, Role.permissions, Role.is_built_in))
    }
    assert set(rows) == set(BUILT_IN_ROLES)
    assert all(row.is_built_in for row in rows.values())
    assert from_scopes([rows["admin"].permissions]) == set(Permission)
    assert rows["user"].permissions == ""


@pytest.fixture
def dying(empty: Flask) -> Iterator[None]:
    """A database that goes away in the middle of the first migration."""

    def die(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "CREATE TABLE sessions" in statement:
            raise ConnectionError

    event.listen(db.engine, "before_cursor_execute", die)
    yield
    if event.contains(db.engine, "before_cursor_execute", die):
        event.remove(db.engine, "before_cursor_execute", die)


@pytest.mark.usefixtures("dying")
def test_a_migration_that_dies_half_way_leaves_nothing_behind() -> None:
    with pytest.raises(ConnectionError):
        upgrade()
    assert describe() == ({}, set())
    assert current_revision() is None


def test_a_migration_leaves_no_mark_on_the_connections_of_its_process(empty: Flask) -> None:
    upgrade()
    questions = {
        "sqlite": {"PRAGMA foreign_keys": 1, "PRAGMA busy_timeout": 2_000},
        "postgresql": {"SHOW statement_timeout": "5s", "SHOW lock_timeout": "2s"},
    }
    for question, answer in questions[db.engine.dialect.name].items():
        with db.engine.connect() as connection:
            assert connection.scalar(text(question)) == answer


def test_an_account_with_a_password_counts_as_activated(empty: Flask) -> None:
    upgrade(revision="0006")
    created_at = datetime(2026, 1, 1, tzinfo=UTC)
    with db.engine.begin() as connection:
        for name, password_hash in (("alice", "a hash"), ("eve", None)):
            values = {
                **dict.fromkeys(("id", "audit_id"), new_id()),
                **dict.fromkeys(("created_at", "updated_at"), created_at),
            }
            email = f"{name}@example.com"
            connection.execute(
                insert(BEFORE).values(email=email, password_hash=password_hash, **values)
            )
    upgrade()
    alice, eve = read_all(select(User.activated_at, User.invited_at).order_by(User.email))
    assert alice.activated_at > created_at
    assert eve.activated_at is alice.invited_at is eve.invited_at is None
    with db.engine.begin() as connection:
        values = {**dict.fromkeys(("id", "audit_id"), new_id()), "email": "later@example.com"}
        values |= dict.fromkeys(("created_at", "updated_at"), created_at)
        connection.execute(insert(BEFORE).values(**values))
    # A column that the release before fills has no default of the upgrade.
    assert read_all(select(User.activated_at).where(User.email == "later@example.com")) == [(None,)]


def _columns() -> Iterator[Column[Any]]:
    for name in ("id", "audit_id", "email", "password_hash", "created_at", "updated_at"):
        yield Column(name, User.__table__.c[name].type)


BEFORE = Table("users", MetaData(), *_columns())
"""The columns of an account that the release before writes."""
