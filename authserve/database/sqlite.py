"""The settings and events of an engine on SQLite, and the queue of a process's writers to its file.

SQLite lets one connection write at a time. The others ask again after pauses of up to 100 ms
(sqlite.org/src, `sqliteDefaultBusyCallback`), during which the file is often free, while some wait
for seconds. So the writers of a process queue, and only the first of them asks SQLite.
"""

import sqlite3
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import URL, Connection, Dialect, Engine, event

from authserve.database.refusals import is_locked
from authserve.settings.secret_files import make_private_file

IS_AUTOCOMMIT = "authserve.is_autocommit"
"""Name of the option of engines whose connections use AUTOCOMMIT, on either database."""

LOCK_TIMEOUT_SECS = 2.0
"""Longest wait for a lock, in seconds, on either database (`docs/operating.md`)."""

QUEUE_SECS = 1.0
"""Longest wait in the queue, in seconds (chosen). After it a writer asks SQLite, whose own limit is
`LOCK_TIMEOUT_SECS`."""


class QueuedConnection(sqlite3.Connection):
    """A connection to a SQLite file that writes when the other writers of its process have.

    Args:
        queue: shared by the connections of an engine.
    """

    def __init__(self, *args: Any, queue: Lock, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._queue, self._has_turn = queue, False

    def await_turn(self) -> None:
        """Wait for the turn to write; it lasts until the next commit, rollback or close."""
        if not self._has_turn:
            self._has_turn = self._queue.acquire(timeout=QUEUE_SECS)

    def commit(self) -> None:
        """Commit, and end the turn."""
        super().commit()
        self._end_turn()

    def rollback(self) -> None:
        """Roll back, and end the turn."""
        super().rollback()
        self._end_turn()

    def close(self) -> None:
        """Close the connection, and end the turn."""
        super().close()
        self._end_turn()

    def _end_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._queue.release()


def sqlite_options(url: URL) -> dict[str, Any]:
    """Return the options of an engine on SQLite, in addition to those of every engine."""
    connect_args: dict[str, Any] = {"factory": partial(QueuedConnection, queue=Lock())}
    if "timeout" not in url.query:
        connect_args["timeout"] = LOCK_TIMEOUT_SECS
    return {
        # Otherwise the driver begins transactions itself, too late and without the write lock.
        "isolation_level": "AUTOCOMMIT",
        # Another connection's write empties SQLite's cache of pages, so the last writer is reused.
        "pool_use_lifo": True,
        "connect_args": connect_args,
    }


@event.listens_for(Engine, "do_connect")
def _make_sqlite_file_private(
    dialect: Dialect, _record: Any, args: tuple[Any, ...], _parameters: dict[str, Any]
) -> None:
    """Make a new SQLite file private to the service's user; SQLite itself would use the umask.

    Its `-wal` and `-shm` files get the mode of the file (sqlite.org/src, `findCreateFileMode`).
    """
    if dialect.name == "sqlite" and args and args[0] != ":memory:":
        # If the file cannot be made, SQLite's connect reports why.
        with suppress(OSError):
            make_private_file(Path(args[0]))


@event.listens_for(Engine, "connect")
def _configure_sqlite(dbapi_connection: Any, _record: Any) -> None:
    """Switch SQLite to WAL, where a writer does not block readers, and enforce foreign keys."""
    if not isinstance(dbapi_connection, sqlite3.Connection):
        return
    _switch_to_wal(dbapi_connection)
    dbapi_connection.execute("PRAGMA foreign_keys = ON")


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL; retry while the file is locked, which SQLite's own timeout does not cover.

    The mode is stored in the file. So only the first connections to a new file can collide, and
    only for an instant.
    """
    deadline = time.monotonic() + LOCK_TIMEOUT_SECS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # Only a lock is worth a retry: a read-only file, for example, stays read-only.
            if not is_locked(error) or time.monotonic() >= deadline:
                raise
            time.sleep(_WAL_PAUSE_SECS)
        else:
            return


_WAL_PAUSE_SECS = 0.01


@event.listens_for(Engine, "begin")
def _begin_on_sqlite(connection: Connection) -> None:
    """Begin a transaction with the write lock, except on a connection in AUTOCOMMIT.

    A later upgrade to the lock could fail at once despite the timeout. A token check uses
    AUTOCOMMIT: with the lock it would wait for every write.
    """
    if connection.dialect.name == "sqlite" and not is_autocommit(connection):
        queue_to_write(connection)
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def is_autocommit(connection: Connection) -> bool:
    """Return True if each statement on this connection commits by itself."""
    options = connection.get_execution_options()
    return bool(options.get(IS_AUTOCOMMIT)) or options.get("isolation_level") == "AUTOCOMMIT"


def queue_to_write(connection: Connection) -> None:
    """Wait until the process's other writers to a SQLite file are done; PostgreSQL needs no queue.

    The turn ends with the transaction, or when the connection returns to the pool.
    """
    driver: object = connection.connection.dbapi_connection
    if isinstance(driver, QueuedConnection):
        driver.await_turn()
