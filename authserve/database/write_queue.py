"""The queue of a process's writers to a SQLite file.

SQLite lets one connection write at a time. The others ask again after pauses of up to 100 ms
(sqlite.org/src, `sqliteDefaultBusyCallback`), during which the file is often free, while some wait
for seconds. So the writers of a process queue, and only the first of them asks SQLite.
"""

import sqlite3
from threading import Lock
from typing import Any

from sqlalchemy import Connection

QUEUE_SECS = 1.0
"""Longest wait in the queue, in seconds (chosen). After it a writer asks SQLite, whose own limit is
`LOCK_TIMEOUT_MS`."""


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


def queue_to_write(connection: Connection) -> None:
    """Wait until the process's other writers to a SQLite file are done; PostgreSQL needs no queue.

    The turn ends with the transaction, or when the connection returns to the pool.
    """
    driver: object = connection.connection.dbapi_connection
    if isinstance(driver, QueuedConnection):
        driver.await_turn()
