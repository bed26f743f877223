"""The statements that are sent to a database."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection, Engine, event
from sqlalchemy.sql.compiler import SQLCompiler

from authserve.database.engine import LOCAL_SETTINGS
from authserve.database.statements import PreparedStatement


def bound(compiled: SQLCompiler, parameters: Mapping[str, Any]) -> Any:
    """Return a compiled statement's values as its driver takes them."""
    given = compiled.construct_params(dict(parameters))
    values = {}
    for parameter, name in compiled.bind_names.items():
        kind = parameter.type.dialect_impl(compiled.dialect)
        convert = kind.bind_processor(compiled.dialect)
        values[name] = given[name] if convert is None else convert(given[name])
    order = compiled.positiontup
    return values if order is None else tuple(values[name] for name in order)


@contextmanager
def executed(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """Record what is sent in the block: statements with their parameters.

    Prepared statements are recorded if they run in a transaction.
    """
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        sent.append((statement, parameters))

    def run(statement: PreparedStatement, connection: Connection, parameters: Any) -> list[Any]:
        # Behind a pooler nothing is planned beforehand, and the engine executes all.
        if LOCAL_SETTINGS not in connection.get_execution_options():
            keys = list(parameters)
            compiled = statement.statement.compile(dialect=connection.dialect, column_keys=keys)
            sent.append((str(compiled), bound(compiled, parameters)))
        return unrecorded(statement, connection, parameters)

    unrecorded = PreparedStatement.run_in_transaction
    event.listen(engine, "before_cursor_execute", note)
    try:
        with patch.object(PreparedStatement, "run_in_transaction", run):
            yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)
