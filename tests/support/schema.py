"""The schema of a database, in a form that can be compared."""

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Inspector, inspect, text

VERSION_TABLE = "alembic_version"


def describe_tables(connection: Connection) -> dict[str, Any]:
    """Tables with columns, defaults, constraints and indexes, by their names."""
    inspector = inspect(connection)
    tables = set(inspector.get_table_names()) - {VERSION_TABLE}
    if connection.dialect.name != "sqlite":
        return _describe(inspector, tables)
    made = {table: _statements_of(connection, table) for table in tables}
    unknown = {table for table in tables if made[table] not in DESCRIBED}
    for table, description in _describe(inspector, unknown).items():
        DESCRIBED[made[table]] = description
    return {table: DESCRIBED[made[table]] for table in tables}


DESCRIBED: dict[tuple[str, ...], dict[str, Any]] = {}
"""The descriptions of SQLite's tables by the statements that make them: SQLAlchemy takes 8 ms to
describe one (measured), and a migration changes few of them."""


def _statements_of(connection: Connection, table: str) -> tuple[str, ...]:
    query = text("SELECT sql FROM sqlite_master WHERE tbl_name = :table AND sql > '' ORDER BY sql")
    return tuple(connection.scalars(query, {"table": table}))


def _describe(inspector: Inspector, tables: set[str]) -> dict[str, Any]:
    """Describe tables; PostgreSQL answers each of the questions once for all of them."""
    if not tables:
        return {}
    found = {
        "columns": inspector.get_multi_columns(filter_names=tables),
        "primary key": inspector.get_multi_pk_constraint(filter_names=tables),
        "foreign keys": inspector.get_multi_foreign_keys(filter_names=tables),
        "unique": inspector.get_multi_unique_constraints(filter_names=tables),
        "checks": inspector.get_multi_check_constraints(filter_names=tables),
        "indexes": inspector.get_multi_indexes(filter_names=tables),
    }
    return {
        table: {kind: _by_name(answers[None, table]) for kind, answers in found.items()}
        for table in tables
    }


def _by_name(found: Any) -> dict[str, Any]:
    """Name the columns or constraints of a list; a primary key is one by itself."""
    if isinstance(found, Mapping):
        return {str(found["name"]): _plain(found)}
    return {str(each["name"]): _plain(each) for each in found}


def _plain(value: Any) -> Any:
    """Types and clauses as text; the order of columns in a constraint counts."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items() if name != "comment"}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, bool | int) else str(value)


def describe_code(connection: Connection) -> set[str]:
    """Triggers and functions, which the models do not define."""
    if connection.dialect.name == "sqlite":
        query = "SELECT sql FROM sqlite_master WHERE type = 'trigger'"
    else:
        query = """
            SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
            UNION ALL SELECT pg_get_functiondef(pg_proc.oid) FROM pg_proc
            JOIN pg_namespace ON pg_namespace.oid = pronamespace AND nspname = 'public'
        """
    return {re.sub(r"\s+", " ", definition) for definition in connection.scalars(text(query))}
