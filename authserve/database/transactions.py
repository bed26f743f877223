"""The database: one declarative base, two ways to talk to it.

`transaction()` is how anything is written; `reading()` is an AUTOCOMMIT connection for statements
that stand alone, mostly reads, and so cost one round trip each. Nothing else opens a connection.
"""

from collections.abc import Callable, Iterator
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
    Executable,
    Insert,
    MetaData,
    Row,
    Select,
    String,
    Table,
    delete,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, Session
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate
from sqlalchemy.types import TypeDecorator

from authserve.database.engine import TransactionLostError, autocommit_view
from authserve.database.watchdog import ServerFrozenError

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
        if value.utcoffset() is None:
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


def table_of(model: type[Base]) -> Table:
    """The table itself, for statements that want nothing of the ORM.

    A statement with as much as a column of the ORM's is made anew by SQLAlchemy at each use, which
    takes half as long again (measured); so what is sent often is made of tables.
    """
    return cast(Table, model.__table__)


def dialect_insert(model: type[Base]) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that knows `ON CONFLICT`, which both databases spell alike."""
    table = table_of(model)
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


_DEPTH = "authserve.transaction_depth"
_IS_LOST = "authserve.transaction_is_lost"
_AFTER_COMMIT = "authserve.after_commit"


class TransactionNestingError(RuntimeError):
    """A durable transaction was opened inside another, which could still roll it back."""


@contextmanager
def transaction(*, durable: bool = False) -> Iterator[Session]:
    """Open a transaction, or join the one that is open; the outermost exit commits.

    A block that joined and failed takes the whole transaction with it, whoever catches its
    error: there are no savepoints, so half of its writes would be committed.

    Args:
        durable: what is written must be committed when the block ends, because an error will be
            raised after it (a failed sign-in is counted, then refused). Such a block cannot be
            nested, as the outer one could still roll back.

    Yields:
        The session to write with.

    Raises:
        TransactionNestingError: a durable transaction inside another one.
        TransactionLostError: at the outermost exit, after a nested block or a statement failed
            and its error was swallowed; nothing is committed.
    """
    session = db.session()
    depth = session.info.get(_DEPTH, 0)
    if durable and depth:
        raise TransactionNestingError("a durable transaction cannot be nested")
    session.info[_DEPTH] = depth + 1
    try:
        yield session
        if depth == 0:
            if session.info.get(_IS_LOST):
                raise TransactionLostError
            session.commit()
    except BaseException:
        session.info[_IS_LOST] = True
        if depth == 0:
            session.info.pop(_AFTER_COMMIT, None)
            session.rollback()
        raise
    finally:
        session.info[_DEPTH] = depth
        if depth == 0:
            session.info[_IS_LOST] = False
            session.close()
    if depth == 0:
        for action in session.info.pop(_AFTER_COMMIT, ()):
            action()


def after_commit(action: Callable[[], None]) -> None:
    """Do `action` when the open transaction has committed, and never if it does not.

    Args:
        action: what is no part of the transaction and cannot fail, such as counting.

    Raises:
        RuntimeError: no transaction is open.
    """
    require_transaction().info.setdefault(_AFTER_COMMIT, []).append(action)


def require_transaction() -> Session:
    """The session of the open transaction.

    Raises:
        RuntimeError: none is open; what the caller is about to write would belong to nothing.
    """
    session = _open_session()
    if session is None:
        raise RuntimeError("no transaction is open; wrap the use case in transaction()")
    return session


def require_no_transaction() -> None:
    """Refuse to go on inside a transaction.

    What follows commits by itself, on a connection of its own; on SQLite it would wait for the
    caller's own lock.

    Raises:
        TransactionNestingError: a transaction is open.
    """
    if _open_session() is not None:
        raise TransactionNestingError("this commits by itself, so no transaction may be open")


def _open_session() -> Session | None:
    """The session of the open transaction, or None; no session is made just to be asked."""
    if not db.session.registry.has():
        return None
    session = db.session()
    return session if session.info.get(_DEPTH) else None


@contextmanager
def reading() -> Iterator[Connection]:
    """A connection in AUTOCOMMIT: each statement stands alone, with no BEGIN and no ROLLBACK."""
    with autocommit_view(db.engine).connect() as connection:
        yield connection


AnyReturning = ReturningUpdate[*tuple[Any, ...]] | ReturningInsert[*tuple[Any, ...]]
AnySelect = Select[*tuple[Any, ...]] | CompoundSelect[*tuple[Any, ...]]


def read_all(statement: AnySelect, parameters: dict[str, Any] | None = None) -> list[Row[Any]]:
    """Run one SELECT in AUTOCOMMIT and fetch its rows; on a dead pooled connection, once more.

    This is instead of a ping before every use, which would double the round trips of the token
    check (the connection pool drops its dead connections when the first one fails). A server that
    is frozen is not asked again: the caller has waited for long enough.

    Inside a transaction it reads what that has written, on its connection: a second one could
    wait for ever when every transaction wants one.
    """
    session = _open_session()
    if session is not None:
        return list(session.execute(statement, parameters))
    return _fetch_or_retry(statement, parameters)


def write_repeatably(statement: AnyReturning, parameters: dict[str, Any]) -> list[Row[Any]]:
    """Run one UPDATE that is committed by itself, and fetch what it returns.

    On a dead pooled connection it runs once more, like a read; so it must be one that does no
    harm where the first has been done after all, and only its answer was lost.

    Raises:
        TransactionNestingError: a transaction is open.
    """
    require_no_transaction()
    return _fetch_or_retry(statement, parameters)


def _fetch_or_retry(statement: Executable, parameters: dict[str, Any] | None) -> list[Row[Any]]:
    try:
        return _fetch(statement, parameters)
    except DBAPIError as error:
        if not error.connection_invalidated or isinstance(error.orig, ServerFrozenError):
            raise
    return _fetch(statement, parameters)


def _fetch(statement: Executable, parameters: dict[str, Any] | None) -> list[Row[Any]]:
    with reading() as connection:
        return list(connection.execute(statement, parameters))
