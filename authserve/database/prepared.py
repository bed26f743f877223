"""Prepared statements: planned once for each connection, and run without SQLAlchemy's execution.

psycopg2 prepares nothing by itself, so PostgreSQL gets PREPARE at a connection's first use and
EXECUTE at each use. SQLAlchemy compiles the statement and converts its values, but its execution
takes longer than the database: 300 µs for the token check, of which PostgreSQL takes 90 (measured).
"""

from collections import namedtuple
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.exc import OperationalError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

from authserve.database.engine import has_session_settings
from authserve.database.refusals import is_timeout

Convert = Callable[[Any], Any]


_LOST_PLANS = frozenset({"26000", "42P05", "0A000"})
"""SQLSTATEs: the statement does not exist, it exists already, or a migration changed its columns'
types."""


class PreparedStatement:
    """A statement that runs so often that planning and compiling it matter.

    `transactions.read_all` and `write_repeatably` run it, in AUTOCOMMIT; it must be safe to repeat.

    Args:
        statement: a SELECT, or an UPDATE with RETURNING, without lists of values.
        name: an SQL name that no other statement has.
    """

    def __init__(self, statement: Any, *, name: str) -> None:
        self.statement, self.name = statement, name
        self._forms: dict[str, _Form] = {}

    def run(self, connection: Connection, parameters: Mapping[str, Any]) -> list[Any]:
        """Return the rows; their values have the names of the columns.

        If the statement fails, SQLAlchemy runs it again: it reports errors, replaces lost
        connections, and needs no plan. After a timeout nothing runs again, since the caller has
        waited long enough. Behind a pooler nothing is prepared, since the next use may reach
        another session of the server.

        Raises:
            DBAPIError: the database is away, or does not execute the statement.
        """
        if not has_session_settings(connection):
            return list(connection.execute(self.statement, parameters))
        try:
            return self._run_unreported(connection, parameters)
        except connection.dialect.loaded_dbapi.Error as error:
            if is_timeout(error):
                raise OperationalError(self.name, None, error) from error
            if getattr(error, "pgcode", None) in _LOST_PLANS:
                connection.invalidate(error)
            return list(connection.execute(self.statement, parameters))

    def _run_unreported(self, connection: Connection, parameters: Mapping[str, Any]) -> list[Any]:
        dialect = connection.dialect
        form = self._forms.get(dialect.name)
        if form is None:
            form = self._forms[dialect.name] = _Form(self.statement, self.name, dialect)
        cursor = connection.connection.cursor()
        if form.preparation is not None:
            cursor.connection.autocommit = True
            if self.name not in connection.info:
                cursor.execute(form.preparation)
                connection.info[self.name] = True
        cursor.execute(form.text, form.bind(parameters))
        rows = [form.row(values) for values in cursor.fetchall()]
        cursor.close()
        return rows


class _Form:
    """A statement's text for one dialect, and the conversions of its values.

    Attributes:
        preparation: the PREPARE statement; None for SQLite, whose driver keeps statements itself.
    """

    def __init__(self, statement: Any, name: str, dialect: Dialect) -> None:
        compiled: SQLCompiler = statement.compile(dialect=dialect)
        names = compiled.bind_names
        self._constants = {names[each]: each.value for each in names if not each.required}
        self._binders = {
            names[each]: each.type.dialect_impl(dialect).bind_processor(dialect) for each in names
        }
        columns = statement.exported_columns
        self._row_type = namedtuple(f"{name}_row", columns.keys())  # type: ignore[misc]
        self._readers = [_reader(column.type, dialect) for column in columns]
        self._order = compiled.positiontup
        if self._order is not None:
            self.preparation, self.text = None, str(compiled)
        else:
            places = {key: f"${number}" for number, key in enumerate(self._binders, start=1)}
            text = (str(compiled) % places).replace("%", "%%")
            self.preparation = f"PREPARE {name} AS {text}"
            self.text = f"EXECUTE {name} ({', '.join(f'%({key})s' for key in self._binders)})"

    def bind(self, parameters: Mapping[str, Any]) -> Any:
        given = {**self._constants, **parameters}
        values = {
            key: given[key] if convert is None else convert(given[key])
            for key, convert in self._binders.items()
        }
        return values if self._order is None else [values[key] for key in self._order]

    def row(self, values: tuple[Any, ...]) -> Any:
        pairs = zip(self._readers, values, strict=True)
        return self._row_type(*(value if read is None else read(value) for read, value in pairs))


def _reader(of: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    reader: Convert | None = of.dialect_impl(dialect).result_processor(dialect, None)
    return reader
