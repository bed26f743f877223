"""Prepared statements: PostgreSQL plans them once per connection, not at each use.

psycopg2 prepares nothing by itself. So these statements are rewritten on their way to the cursor:
PREPARE at a connection's first use, and EXECUTE at each use. SQLite's driver caches statements
anyway. Behind a pooler nothing is prepared: the next use may reach another server session.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Executable, event
from sqlalchemy.engine import ExceptionContext

StatementT = TypeVar("StatementT", bound=Executable)

PLAN = "authserve.plan"
"""Name of the option with the name of a prepared statement."""

_LOST_PLANS = frozenset({"26000", "42P05", "0A000"})
"""SQLSTATEs: the statement does not exist, it exists already, or a migration changed its columns'
types."""


def prepared(statement: StatementT, *, name: str) -> StatementT:
    """Mark a statement to be prepared, if it runs so often that planning it matters.

    Planning the token check takes PostgreSQL more than twice as long as running it (measured).

    Args:
        statement: a SELECT, UPDATE, INSERT or DELETE.
        name: an SQL name that no other statement has.
    """
    return statement.execution_options(**{PLAN: name})


def execute_by_name(
    connection: Connection, name: str, statement: str, parameters: Mapping[str, Any]
) -> str:
    """Return the EXECUTE that replaces a statement; PREPARE it at the connection's first use."""
    if name not in connection.info:
        places = {key: f"${number}" for number, key in enumerate(parameters, start=1)}
        text = (statement % places).replace("%", "%%")
        connection.exec_driver_sql(f"PREPARE {name} AS {text}", execution_options={PLAN: None})
        connection.info[name] = True
    arguments = ", ".join(f"%({key})s" for key in parameters)
    return f"EXECUTE {name} ({arguments})"


@event.listens_for(Engine, "handle_error")
def _part_with_lost_plans(context: ExceptionContext) -> None:
    """Replace the connections if one lost a prepared statement; `read_all` then retries."""
    execution = context.execution_context
    if execution is None or PLAN not in execution.execution_options:
        return
    if getattr(context.original_exception, "pgcode", None) in _LOST_PLANS:
        context.is_disconnect = True
