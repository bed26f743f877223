"""How connections to the database behave: pool, timeouts, and where SQLite differs."""

import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, event
from sqlalchemy.engine import ExceptionContext

from authserve.core.database_refusals import is_read_only
from authserve.core.secret_file import make_private_file
from authserve.core.watchdog import WatchedConnection

_AUTOCOMMIT_VIEW = "authserve.autocommit_view"
_IS_AUTOCOMMIT = "authserve.is_autocommit"


def autocommit_view(engine: Engine) -> Engine:
    """The same pool; on its connections, each statement stands alone."""
    view: Engine | None = getattr(engine, _AUTOCOMMIT_VIEW, None)
    if view is None:
        view = engine.execution_options(**{_IS_AUTOCOMMIT: True})
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
        # Or the text of every database error would tell password hashes to the log.
        "hide_parameters": True,
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
            "connection_factory": WatchedConnection,
            "connect_timeout": CONNECT_TIMEOUT_SECS,
            "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
            "application_name": "authserve",
        }
    else:
        # The driver would begin transactions by itself, too late and without the write lock.
        options["isolation_level"] = "AUTOCOMMIT"
        options["connect_args"] = {"timeout": LOCK_TIMEOUT_MS / 1000}
    return options


@event.listens_for(Engine, "do_connect")
def _make_sqlite_file_private(
    dialect: Dialect, _record: Any, args: tuple[Any, ...], _parameters: dict[str, Any]
) -> None:
    """Make a new SQLite file for the service's user alone; SQLite itself would follow the umask.

    Its `-wal` and `-shm` files get the mode of the file (sqlite.org/src, `findCreateFileMode`).
    """
    if dialect.name == "sqlite" and args and args[0] != ":memory:":
        # SQLite then reports why the file cannot be made.
        with suppress(OSError):
            make_private_file(Path(args[0]))


_CONNECTED_AT = "authserve.connected_at"

READ_ONLY_REST_SECS = 2.0
"""How long a new connection that takes no writes is kept, in seconds (chosen). Without a limit each
write to a server that is still read-only would cost a connect."""


@event.listens_for(Engine, "connect")
def _note_age(_dbapi_connection: Any, record: Any) -> None:
    record.info[_CONNECTED_AT] = time.monotonic()


@event.listens_for(Engine, "handle_error")
def _discard_read_only_connections(context: ExceptionContext) -> None:
    """Replace all pooled connections when an older one turns out to be read-only.

    After a failover the address may lead to another server, which takes writes, while open
    connections still lead to the former one.
    """
    connection = context.connection
    if connection is None or not is_read_only(context.original_exception):
        return
    age_secs = time.monotonic() - connection.info[_CONNECTED_AT]
    if age_secs >= READ_ONLY_REST_SECS:
        context.is_disconnect = True


@event.listens_for(Engine, "connect")
def _configure_sqlite(dbapi_connection: Any, _record: Any) -> None:
    """WAL lets readers go on while one writes; foreign keys are off unless asked for."""
    if not isinstance(dbapi_connection, sqlite3.Connection):
        return
    _switch_to_wal(dbapi_connection)
    dbapi_connection.execute("PRAGMA foreign_keys = ON")


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Ask again while somebody is in the way: SQLite's own timeout does not cover this switch.

    A file is switched once, for all who open it later, so only the first users of a new one can
    be in each other's way, and only for an instant.
    """
    deadline = time.monotonic() + LOCK_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_WAL_PAUSE_SECS)
        else:
            return


_WAL_PAUSE_SECS = 0.01


@event.listens_for(Engine, "begin")
def _begin_as_the_database_should(connection: Connection) -> None:
    """Begin a transaction, or none on a connection of `autocommit_view`.

    SQLAlchemy announces a "begin" for both.
    """
    options = connection.get_execution_options()
    is_autocommit = options.get(_IS_AUTOCOMMIT) or options.get("isolation_level") == "AUTOCOMMIT"
    if connection.dialect.name == "postgresql":
        # Each use says what it needs. SQLAlchemy's option would set the driver's isolation level
        # back after each use, for which psycopg2 sends a statement: a second round trip.
        driver: Any = connection.connection.dbapi_connection
        if not driver.closed:
            driver.autocommit = bool(is_autocommit)
    elif not is_autocommit:
        # Take SQLite's write lock now: a later upgrade could fail at once, whatever the timeout.
        # A token check must not, or it would wait for every write.
        connection.exec_driver_sql("BEGIN IMMEDIATE")


class TransactionLostError(RuntimeError):
    """A part of the transaction failed, and whoever caught its error went on as if it had not.

    To commit would keep half of what that part meant to do; everything was rolled back instead.
    """


@event.listens_for(Engine, "commit")
def _refuse_to_commit_what_failed(connection: Connection) -> None:
    """PostgreSQL answers the COMMIT of a failed transaction with a ROLLBACK, and no error.

    Raises:
        TransactionLostError: a statement of it failed, and its error was swallowed.
    """
    if connection.dialect.name != "postgresql":
        return
    psycopg2: Any = connection.dialect.loaded_dbapi
    driver: Any = connection.connection.dbapi_connection
    if driver.info.transaction_status == psycopg2.extensions.TRANSACTION_STATUS_INERROR:
        raise TransactionLostError
