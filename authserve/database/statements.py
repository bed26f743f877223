"""Tables, types of columns, and statements that PostgreSQL plans once for each connection.

Such a statement converts its values by the types of its columns itself.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import Connection, DateTime, Dialect, Engine, Index, MetaData, String, Table, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.schema import CreateIndex
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeDecorator, TypeEngine

from authserve.database.engine import LOCAL_SETTINGS
from authserve.database.refusals import is_plan_lost, is_timeout

CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""Naming rules that give every constraint a fixed name, so that migrations can refer to it."""


class Base(DeclarativeBase):
    """The base class of every table."""

    metadata = MetaData(naming_convention=CONVENTION)


class UTCDateTime(TypeDecorator[datetime]):
    """An aware time in UTC; a naive one is rejected, since its zone is unknown."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC for the database; drop the zone where the column cannot hold one."""
        if value is None:
            return None
        if value.utcoffset() is None:
            raise ValueError("naive datetime: use core.clock.now()")
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the database's value as an aware time in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def key_string(length: int) -> String:
    """Return the type of a text column that is compared byte by byte on every database.

    PostgreSQL's default collation may order by locale. Under "C" a plain index serves equality
    and prefix ranges, as SQLite's does.
    """
    return String(length).with_variant(String(length, collation="C"), "postgresql")


CONDITION = "authserve.condition"
"""Name of the information about an index that has its condition, as SQL."""


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """Return an index of only the rows that meet a condition.

    SQLAlchemy has one option for each dialect, and each loads its dialect: on SQLite, the one for
    PostgreSQL took 4 % of a start and 2.5 MB (measured).

    Args:
        name: of the index.
        columns: names of columns, in the order of the index.
        where: the condition, as SQL that all databases understand.
        unique: True if no two of these rows may have equal columns.
    """
    return Index(name, *columns, unique=unique, info={CONDITION: where})


@compiles(CreateIndex)
def _create_index(create: CreateIndex, compiler: Any, **options: Any) -> str:
    statement: str = compiler.visit_create_index(create, **options)
    condition = create.element.info.get(CONDITION)
    return f"{statement} WHERE {condition}" if condition else statement


def table_of(model: type[Base]) -> Table:
    """Return the model's table, for statements without the ORM.

    SQLAlchemy processes a statement with an ORM column anew at each use, which takes half as long
    again (measured). So statements that run often use tables.
    """
    return cast(Table, model.__table__)


_FAILURE = "authserve.failure"
"""Name of the option with the error of a statement that ran on the driver's own cursor."""


@event.listens_for(Engine, "do_execute")
def _raise_failure(_cursor: Any, _statement: str, _parameters: Any, context: Any) -> None:
    """Raise the error of a statement that has failed already, instead of executing it.

    So SQLAlchemy handles it like one of its own: it wraps the error, calls listeners, and
    invalidates a lost connection.
    """
    failure: Exception | None = context.execution_options.get(_FAILURE)
    if failure is not None:
        raise failure


class PreparedStatement:
    """A statement that is planned once for each connection; SQLAlchemy does not execute it.

    psycopg2 prepares nothing by itself, so PostgreSQL gets PREPARE at a connection's first use and
    EXECUTE at each use. SQLAlchemy compiles the statement and converts its values, but its
    execution takes longer than the database: 300 µs for the token check, of which PostgreSQL takes
    90 (measured).

    `read_all` and `write_repeatably` run it in AUTOCOMMIT; there it must be safe to repeat.
    `execute_prepared` runs it in a transaction.

    Behind a pooler nothing is prepared, since the next use may reach another session of the
    server.

    Args:
        statement: a SELECT or a write, without lists of values.
        name: an SQL name that no other statement has.
    """

    def __init__(self, statement: Any, *, name: str) -> None:
        self.statement, self.name = statement, name
        self._forms: dict[str, _Form] = {}

    def run(self, connection: Connection, parameters: Mapping[str, Any]) -> list[Any]:
        """Return the rows in AUTOCOMMIT; their values have the names of the columns.

        If the statement fails, SQLAlchemy runs it again: it reports errors, replaces lost
        connections, and needs no plan. After a timeout nothing runs again, since the caller has
        waited long enough.

        Raises:
            DBAPIError: the database is away, or does not execute the statement.
        """
        if LOCAL_SETTINGS in connection.get_execution_options():
            return self._run_unprepared(connection, parameters)
        form = self._form(connection.dialect, parameters)
        try:
            if form.preparation is not None:
                driver: Any = connection.connection.dbapi_connection
                driver.autocommit = True
            return form.fetch(connection, parameters)
        except connection.dialect.loaded_dbapi.Error as error:
            if is_timeout(error):
                raise OperationalError(self.name, None, error) from error
            if is_plan_lost(error):
                connection.invalidate(error)
            return self._run_unprepared(connection, parameters)

    def run_in_transaction(
        self, connection: Connection, parameters: Mapping[str, Any]
    ) -> list[Any]:
        """Return the rows; none of a write without RETURNING.

        The transaction cannot continue after an error, so nothing runs again: SQLAlchemy only
        handles the error. If the connection has lost the plan, the pool replaces all its
        connections, and the caller gets 503: once in a process, after a migration that changes the
        type of a returned column.

        Raises:
            DBAPIError: the database is away, or does not execute the statement.
        """
        if LOCAL_SETTINGS in connection.get_execution_options():
            return self._run_unprepared(connection, parameters)
        form = self._form(connection.dialect, parameters)
        try:
            return form.fetch(connection, parameters)
        except connection.dialect.loaded_dbapi.Error as error:
            connection.exec_driver_sql(form.text, execution_options={_FAILURE: error})
            raise

    def _run_unprepared(self, connection: Connection, parameters: Mapping[str, Any]) -> list[Any]:
        result = connection.execute(self.statement, parameters)
        return list(result) if result.returns_rows else []

    def _form(self, dialect: Dialect, parameters: Mapping[str, Any]) -> "_Form":
        form = self._forms.get(dialect.name)
        if form is None:
            form = _Form(self.statement, self.name, dialect, parameters)
            self._forms[dialect.name] = form
        return form


class _Form:
    """A statement's text for one dialect, and the conversions of its values.

    Args:
        parameters: the values of a first use; an INSERT has the columns of their names.

    Attributes:
        preparation: the PREPARE statement; None for SQLite, whose driver keeps statements itself.
    """

    def __init__(
        self, statement: Any, name: str, dialect: Dialect, parameters: Mapping[str, Any]
    ) -> None:
        compiled: SQLCompiler = statement.compile(dialect=dialect, column_keys=list(parameters))
        names = compiled.bind_names
        self._constants = {names[each]: each.value for each in names if not each.required}
        self._binders = {
            names[each]: each.type.dialect_impl(dialect).bind_processor(dialect) for each in names
        }
        columns = statement.exported_columns
        self._row_type = namedtuple(f"{name}_row", columns.keys())  # type: ignore[misc]
        self._readers = [_reader(column.type, dialect) for column in columns]
        self._name, self._order = name, compiled.positiontup
        if self._order is not None:
            self.preparation, self.text = None, str(compiled)
        else:
            places = {key: f"${number}" for number, key in enumerate(self._binders, start=1)}
            text = (str(compiled) % places).replace("%", "%%")
            values = ", ".join(f"%({key})s" for key in self._binders)
            self.preparation = f"PREPARE {name} AS {text}"
            self.text = f"EXECUTE {name} ({values})"

    def fetch(self, connection: Connection, parameters: Mapping[str, Any]) -> list[Any]:
        """Run the statement on the driver's cursor, and return its rows, if any."""
        cursor = connection.connection.cursor()
        if self.preparation is not None and self._name not in connection.info:
            cursor.execute(self.preparation)
            connection.info[self._name] = True
        cursor.execute(self.text, self.bind(parameters))
        rows = [self.row(values) for values in cursor.fetchall()] if cursor.description else []
        cursor.close()
        return rows

    def bind(self, parameters: Mapping[str, Any]) -> Any:
        """Return the values for the driver."""
        given = {**self._constants, **parameters}
        values = {
            key: given[key] if convert is None else convert(given[key])
            for key, convert in self._binders.items()
        }
        return values if self._order is None else tuple(values[key] for key in self._order)

    def row(self, values: Sequence[Any]) -> Any:
        """Return the driver's values of a row, converted and named."""
        pairs = zip(self._readers, values, strict=True)
        return self._row_type(*(value if read is None else read(value) for read, value in pairs))


def _reader(of: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    reader: Callable[[Any], Any] | None = of.dialect_impl(dialect).result_processor(dialect, None)
    return reader
