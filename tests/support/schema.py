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
    return {table: _describe_table(inspector, table) for table in tables}


def _describe_table(inspector: Inspector, table: str) -> dict[str, Any]:
    return {
        "columns": {column["name"]: _plain(column) for column in inspector.get_columns(table)},
        "primary key": _plain(inspector.get_pk_constraint(table)),
        "foreign keys": _by_name(inspector.get_foreign_keys(table)),
        "unique": _by_name(inspector.get_unique_constraints(table)),
        "checks": _by_name(inspector.get_check_constraints(table)),
        "indexes": _by_name(inspector.get_indexes(table)),
    }


def _by_name(found: Any) -> dict[str, Any]:
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
