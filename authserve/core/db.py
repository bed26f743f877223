"""The database: one declarative base, two ways to talk to it.

`transaction()` is how anything is written; `reading()` is an AUTOCOMMIT connection for reads that
need no transaction and so cost one round trip each. Nothing else opens a connection.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Insert,
    MetaData,
    Row,
    Select,
    String,
    Table,
    delete,
    event,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, Session
from sqlalchemy.types import TypeDecorator

CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""Every constraint has a name that follows from its columns, so migrations can speak of it."""


class Base(DeclarativeBase):
    """The base class of every table."""

    metadata = MetaData(naming_convention=CONVENTION)


class UTCDateTime(TypeDecorator[datetime]):
    """An aware moment in UTC; a naive one is refused, since nobody could say what it means."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database: UTC, and without the zone where the column cannot hold one."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("naive datetime: use core.clock.now()")
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database: always aware."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def key_string(length: int) -> String:
    """A column for text that is compared byte by byte on every database.

    PostgreSQL's own collations would order and fold by locale; under "C" a plain index serves
    equality and prefix ranges alike, as SQLite's do.
    """
    return String(length).with_variant(String(length, collation="C"), "postgresql")


db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})

_DEPTH = "authserve.transaction_depth"


def dialect_insert(model: type[Base]) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that knows `ON CONFLICT`, which both databases spell alike."""
    table = cast(Table, model.__table__)
    if db.engine.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def insert_if_absent(model: type[Base]) -> Insert:
    """An INSERT that leaves an existing row alone instead of failing.

    Its row count tells who was first.
    """
    return dialect_insert(model).on_conflict_do_nothing()


PURGE_SLICE = 1_000
"""Rows deleted in one transaction, so that no lock is held for long (chosen, not measured)."""


def delete_in_slices(
    model: type[Base], key: InstrumentedAttribute[Any], is_dead: ColumnElement[bool]
) -> Iterator[int]:
    """Delete all rows that are dead, a bounded number in each transaction.

    Args:
        model: the table.
        key: its primary key.
        is_dead: what dead means; it must stay true of a row once it is.

    Yields:
        How many rows each committed slice deleted.
    """
    while True:
        with transaction() as session:
            dead = select(key).where(is_dead).limit(PURGE_SLICE)
            statement = delete(model).where(key.in_(dead))
            result = session.execute(statement.execution_options(synchronize_session=False))
        count: int = result.rowcount  # type: ignore[attr-defined]
        if not count:
            return
        yield count


def violated_constraint(error: IntegrityError) -> str | None:
    """The name of the constraint that a write ran into, the same on every database.

    PostgreSQL names it; SQLite names the columns, from which the convention gives the name.
    """
    diagnostics = getattr(error.orig, "diag", None)
    if diagnostics is not None:
        return cast("str | None", diagnostics.constraint_name)
    _, _, columns = str(error.orig).partition("UNIQUE constraint failed: ")
    if not columns:
        return None
    table, _, _ = columns.partition(".")
    names = [column.strip().partition(".")[2] for column in columns.split(",")]
    return f"uq_{table}_{'_'.join(names)}"


class TransactionNestingError(RuntimeError):
    """A durable transaction was opened inside another, which could still roll it back."""


@contextmanager
def transaction(*, durable: bool = False) -> Iterator[Session]:
    """Open a transaction, or join the one that is open; the outermost exit commits.

    Args:
        durable: what is written must be committed when the block ends, because an error will be
            raised after it (a failed sign-in is counted, then refused). Such a block cannot be
            nested, as the outer one could still roll back.

    Yields:
        The session to write with.

    Raises:
        TransactionNestingError: a durable transaction inside another one.
    """
    session = db.session()
    depth = session.info.get(_DEPTH, 0)
    if durable and depth:
        raise TransactionNestingError("a durable transaction cannot be nested")
    session.info[_DEPTH] = depth + 1
    try:
        yield session
        if depth == 0:
            session.commit()
    except BaseException:
        if depth == 0:
            session.rollback()
        raise
    finally:
        session.info[_DEPTH] = depth
        if depth == 0:
            session.close()


def require_transaction() -> Session:
    """The session of the open transaction.

    Raises:
        RuntimeError: none is open; what the caller is about to write would belong to nothing.
    """
    session = db.session()
    if not session.info.get(_DEPTH):
        raise RuntimeError("no transaction is open; wrap the use case in transaction()")
    return session


def require_no_transaction() -> None:
    """Refuse to go on inside a transaction.

    What follows commits by itself, on a connection of its own; on SQLite it would wait for the
    caller's own lock.

    Raises:
        TransactionNestingError: a transaction is open.
    """
    if db.session().info.get(_DEPTH):
        raise TransactionNestingError("this commits by itself, so no transaction may be open")


@contextmanager
def reading() -> Iterator[Connection]:
    """A connection in AUTOCOMMIT: each statement stands alone, with no BEGIN and no ROLLBACK."""
    with _autocommit_engine().connect() as connection:
        yield connection


AnySelect = Select[*tuple[Any, ...]] | CompoundSelect[*tuple[Any, ...]]


def read_all(statement: AnySelect, parameters: dict[str, Any] | None = None) -> list[Row[Any]]:
    """Run one SELECT in AUTOCOMMIT and fetch its rows; on a dead pooled connection, once more.

    This is instead of a ping before every use, which would double the round trips of the token
    check (the connection pool drops its dead connections when the first one fails).
    """
    try:
        return _fetch(statement, parameters)
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
    return _fetch(statement, parameters)


def _fetch(statement: AnySelect, parameters: dict[str, Any] | None) -> list[Row[Any]]:
    with reading() as connection:
        return list(connection.execute(statement, parameters))


_AUTOCOMMIT_VIEW = "authserve.autocommit_view"


def _autocommit_engine() -> Engine:
    engine = db.engine
    view: Engine | None = getattr(engine, _AUTOCOMMIT_VIEW, None)
    if view is None:
        view = engine.execution_options(isolation_level="AUTOCOMMIT")
        setattr(engine, _AUTOCOMMIT_VIEW, view)
    return view


CONNECT_TIMEOUT_SECS = 3
STATEMENT_TIMEOUT_MS = 5_000
LOCK_TIMEOUT_MS = 2_000
IDLE_IN_TRANSACTION_TIMEOUT_MS = 10_000
POOL_TIMEOUT_SECS = 2
"""The timeouts of `docs/operating.md`: a caller hears of trouble long before gunicorn's 30 s."""

POOL_RECYCLE_SECS = 1_800
"""Connections are renewed before the idle limits of common poolers and firewalls (chosen)."""


def engine_options(database_url: str, *, pool_size: int) -> dict[str, Any]:
    """What `SQLALCHEMY_ENGINE_OPTIONS` should hold for `database_url`.

    The pool has no overflow, so its size is the bound on concurrent use of the database.
    """
    options: dict[str, Any] = {
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_timeout": POOL_TIMEOUT_SECS,
        "pool_recycle": POOL_RECYCLE_SECS,
    }
    if database_url.startswith("postgresql"):
        settings = {
            "statement_timeout": STATEMENT_TIMEOUT_MS,
            "lock_timeout": LOCK_TIMEOUT_MS,
            "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_TIMEOUT_MS,
            "timezone": "UTC",
        }
        options["connect_args"] = {
            "connect_timeout": CONNECT_TIMEOUT_SECS,
            "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
            "application_name": "authserve",
        }
    else:
        options["connect_args"] = {"timeout": LOCK_TIMEOUT_MS / 1000}
    return options


@event.listens_for(Engine, "connect")
def _configure_sqlite(dbapi_connection: Any, _record: Any) -> None:
    """WAL lets readers go on while one writes; foreign keys are off unless asked for."""
    if not isinstance(dbapi_connection, sqlite3.Connection):
        return
    # The driver would begin transactions by itself, too late and without the write lock.
    dbapi_connection.isolation_level = None
    cursor = dbapi_connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


@event.listens_for(Engine, "begin")
def _begin_immediate_on_sqlite(connection: Connection) -> None:
    """Take SQLite's write lock at BEGIN: a later upgrade could fail at once, whatever the timeout.

    SQLAlchemy announces a "begin" for AUTOCOMMIT connections too; those only read, and taking
    the lock there would make every token check wait for every write.
    """
    if connection.dialect.name != "sqlite":
        return
    if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        return
    connection.exec_driver_sql("BEGIN IMMEDIATE")
