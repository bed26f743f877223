"""The identifiers of a file's earlier rows, for files of any size."""

import sqlite3
from collections.abc import Sequence

from authserve.transfer.rows import RawRow


class SeenIdentifiers:
    """The addresses, usernames and ids of the rows so far, on disk instead of in memory."""

    def __init__(self) -> None:
        # An empty name makes a temporary SQLite database, which is deleted when it is closed.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("CREATE TABLE seen (identifier TEXT PRIMARY KEY, place TEXT)")
        self._database.execute("BEGIN")

    def find(self, identifier: str) -> str | None:
        """Return the place of the earlier row with this identifier, or None."""
        found = self._database.execute(
            "SELECT place FROM seen WHERE identifier = ?", (identifier,)
        ).fetchone()
        return None if found is None else str(found[0])

    def add(self, identifiers: Sequence[str], row: RawRow) -> None:
        """Store a row's identifiers."""
        self._database.executemany(
            "INSERT OR IGNORE INTO seen VALUES (?, ?)",
            [(identifier, row.place) for identifier in identifiers],
        )

    def close(self) -> None:
        """Delete the temporary database."""
        self._database.close()
