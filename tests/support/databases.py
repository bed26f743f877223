"""The statements that are sent to a database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection, Engine, event

from authserve.database.engine import IS_AUTOCOMMIT
from authserve.database.transactions import _Form


@contextmanager
def executed(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """Record what is sent in the block: statements with their parameters.

    Prepared statements are recorded if they run in a transaction.
    """
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        sent.append((statement, parameters))

    def fetch(form: _Form, connection: Connection, text: str, parameters: Any) -> list[Any]:
        is_ours = connection.engine.pool is engine.pool
        if is_ours and IS_AUTOCOMMIT not in connection.get_execution_options():
            sent.append((text, form._bind(parameters)))
        return unrecorded(form, connection, text, parameters)

    unrecorded = _Form.fetch
    event.listen(engine, "before_cursor_execute", note)
    try:
        with patch.object(_Form, "fetch", fetch):
            yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)
