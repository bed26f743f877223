"""The two ways to use the database: transactions and AUTOCOMMIT.

`transaction()` is for writes. `reading()` opens an AUTOCOMMIT connection for single statements,
mostly reads, which so cost one round trip each; the most frequent ones are a `PreparedStatement`.
No other code opens a connection.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    CursorResult,
    Engine,
    Executable,
    Insert,
    Row,
    Select,
    delete,
    select,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate

from authserve.database.engine import TransactionLostError
from authserve.database.sqlite import IS_AUTOCOMMIT, queue_to_write
from authserve.database.statements import Base, PreparedStatement, table_of
from authserve.database.watchdog import ServerFrozenError

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})


def dialect_insert(model: type[Base]) -> "postgresql.Insert | sqlite.Insert":
    """Return an INSERT that supports `ON CONFLICT`, for the database in use."""
    # The engine has loaded this module. With SQLite, loading PostgreSQL's too would take 3 % of a
    # start (measured).
    dialect = import_module(f"sqlalchemy.dialects.{db.engine.dialect.name}")
    insert: postgresql.Insert | sqlite.Insert = dialect.insert(table_of(model))
    return insert


def insert_if_absent(model: type[Base]) -> Insert:
    """Return an INSERT that leaves an existing row unchanged instead of failing.

    Its row count is 1 if the row is new, else 0.
    """
    return dialect_insert(model).on_conflict_do_nothing()


PURGE_SLICE = 1_000
"""Most rows deleted in one transaction, so that locks are held briefly (chosen, not measured)."""


def delete_in_slices(
    model: type[Base], key: InstrumentedAttribute[Any], is_dead: ColumnElement[bool]
) -> Iterator[int]:
    """Delete all dead rows, at most `PURGE_SLICE` in each transaction.

    Args:
        model: the table.
        key: its primary key.
        is_dead: the condition of dead rows; once true of a row, it must stay true.

    Yields:
        The number of rows that each committed slice deleted.
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
    """A block that commits by itself was opened inside an open transaction."""


@contextmanager
def transaction(*, durable: bool = False) -> Iterator[Session]:
    """Open a transaction, or join the open one; the outermost exit commits.

    If a joined block fails, the whole transaction is rolled back, even if its error is caught:
    without savepoints, half of the block's writes would be committed.

    Args:
        durable: True if the writes must be committed when the block ends, because an error is
            raised after it (a failed login is counted, then refused). Such a block cannot be
            nested, since the outer one could still roll back.

    Yields:
        The session to write with.

    Raises:
        TransactionNestingError: a durable transaction inside another one.
        TransactionLostError: at the outermost exit: a nested block or a statement failed, and its
            error was swallowed. Nothing is committed.
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
    """Call `action` once the open transaction has committed; never if it rolls back.

    Args:
        action: work outside the transaction that cannot fail, such as counting.

    Raises:
        RuntimeError: no transaction is open.
    """
    require_transaction().info.setdefault(_AFTER_COMMIT, []).append(action)


def require_transaction() -> Session:
    """Return the session of the open transaction.

    Raises:
        RuntimeError: no transaction is open.
    """
    session = _open_session()
    if session is None:
        raise RuntimeError("no transaction is open; wrap the use case in transaction()")
    return session


def execute(statement: Executable, parameters: Any = None) -> CursorResult[Any]:
    """Run a statement in the open transaction.

    Args:
        statement: an INSERT, UPDATE or DELETE, or a SELECT.
        parameters: a dictionary, or a list of them for an INSERT of several rows.

    Raises:
        RuntimeError: no transaction is open.
    """
    return cast("CursorResult[Any]", require_transaction().execute(statement, parameters))


def execute_prepared(statement: PreparedStatement, parameters: Mapping[str, Any]) -> list[Any]:
    """Run a statement that is compiled once, in the open transaction, and return its rows.

    SQLAlchemy's own execution takes 70 to 90 µs more (measured).

    Args:
        statement: a SELECT or a write; a write without RETURNING returns no rows.
        parameters: of the same names at each use.

    Raises:
        RuntimeError: no transaction is open.
    """
    return statement.run_in_transaction(require_transaction().connection(), parameters)


def require_no_transaction() -> None:
    """Raise an error inside a transaction, for callers that commit on their own connection.

    On SQLite such a caller would wait for the lock of its own transaction.

    Raises:
        TransactionNestingError: a transaction is open.
    """
    if _open_session() is not None:
        raise TransactionNestingError("this commits by itself, so no transaction may be open")


def _open_session() -> Session | None:
    """Return the session of the open transaction, or None; do not create a session for it."""
    if not db.session.registry.has():
        return None
    session = db.session()
    return session if session.info.get(_DEPTH) else None


_AUTOCOMMIT_VIEW = "authserve.autocommit_view"


def autocommit_view(engine: Engine) -> Engine:
    """Return a view of `engine` with the same pool, whose connections use AUTOCOMMIT."""
    view: Engine | None = getattr(engine, _AUTOCOMMIT_VIEW, None)
    if view is None:
        view = engine.execution_options(**{IS_AUTOCOMMIT: True})
        setattr(engine, _AUTOCOMMIT_VIEW, view)
    return view


@contextmanager
def reading() -> Iterator[Connection]:
    """Open a connection in AUTOCOMMIT: each statement runs without BEGIN and ROLLBACK."""
    with autocommit_view(db.engine).connect() as connection:
        yield connection


@contextmanager
def writing() -> Iterator[Connection]:
    """Open a connection in AUTOCOMMIT for one write; on SQLite it waits for its turn."""
    with reading() as connection:
        queue_to_write(connection)
        yield connection


AnyReturning = ReturningUpdate[*tuple[Any, ...]] | ReturningInsert[*tuple[Any, ...]]
AnySelect = Select[*tuple[Any, ...]] | CompoundSelect[*tuple[Any, ...]]


def read_all(
    statement: AnySelect | PreparedStatement, parameters: dict[str, Any] | None = None
) -> list[Row[Any]]:
    """Run one SELECT in AUTOCOMMIT and fetch its rows; retry once if its connection was dead.

    Inside a transaction it uses that transaction's connection and sees its writes. A second
    connection could exhaust the pool: every transaction would wait for one.

    The retry replaces a ping before every use, which would double the round trips of the token
    check. The pool drops all its dead connections when the first one fails. A frozen server is
    not retried: the caller has waited long enough.
    """
    session = _open_session()
    if session is not None:
        if isinstance(statement, PreparedStatement):
            return statement.run_in_transaction(session.connection(), parameters or {})
        return list(session.execute(statement, parameters))
    return _fetch_or_retry(statement, parameters, connecting=reading)


def write_repeatably(
    statement: AnyReturning | PreparedStatement, parameters: dict[str, Any]
) -> list[Row[Any]]:
    """Run one UPDATE or INSERT in AUTOCOMMIT and fetch its rows; retry once like `read_all`.

    The statement must be safe to repeat: the first run may have been committed, and only its
    answer lost.

    Raises:
        TransactionNestingError: a transaction is open.
    """
    require_no_transaction()
    return _fetch_or_retry(statement, parameters, connecting=writing)


def _fetch_or_retry(
    statement: Executable | PreparedStatement,
    parameters: dict[str, Any] | None,
    *,
    connecting: Callable[[], AbstractContextManager[Connection]],
) -> list[Row[Any]]:
    try:
        with connecting() as connection:
            return _fetch(connection, statement, parameters)
    except DBAPIError as error:
        if not error.connection_invalidated or isinstance(error.orig, ServerFrozenError):
            raise
    with connecting() as connection:
        return _fetch(connection, statement, parameters)


def _fetch(
    connection: Connection,
    statement: Executable | PreparedStatement,
    parameters: dict[str, Any] | None,
) -> list[Row[Any]]:
    if isinstance(statement, PreparedStatement):
        return statement.run(connection, parameters or {})
    return list(connection.execute(statement, parameters))
