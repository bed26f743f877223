"""A cheap check that the database accepts writes."""

from sqlalchemy import false, update
from sqlalchemy.exc import DBAPIError

from authserve.database.refusals import is_locked
from authserve.database.transactions import Base, reading


def probe_writing() -> None:
    """Send an UPDATE of no row, which both databases refuse if they would refuse a write.

    Nothing is written, not even to the transaction log. On SQLite it takes the write lock for an
    instant; a file that another writer has locked counts as writable.

    Raises:
        SQLAlchemyError: the database is read-only, the role lacks the privilege, or it is away.
    """
    sessions = Base.metadata.tables["sessions"]
    statement = update(sessions).where(false()).values(generation=sessions.c.generation)
    try:
        with reading() as connection:
            connection.execute(statement)
    except DBAPIError as error:
        if not is_locked(error.orig):
            raise
