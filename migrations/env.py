"""How `flask db` runs migrations: online only, one at a time, on either database."""

from alembic import context
from sqlalchemy import Connection, text

import authserve.app  # noqa: F401 - brings every table into the metadata
from authserve.core.db import Base, db

ADVISORY_LOCK = 0x61757468
"""PostgreSQL's name for our lock: "auth" in ASCII."""

LOCK_TIMEOUT = "2s"
"""A migration that cannot have its table lock fails soon instead of queueing all traffic up."""


def run() -> None:
    """Bring the schema where the command wants it, waiting for any other starter that does.

    The lock is taken before the present revision is read, and held to the end of the one
    transaction that all steps share; so the second starter finds nothing left to do.
    """
    with db.engine.connect() as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        if is_sqlite:
            _prepare_sqlite(connection)
        with connection.begin():
            if not is_sqlite:
                _lock(connection)
            context.configure(
                connection=connection,
                target_metadata=Base.metadata,
                render_as_batch=is_sqlite,
                compare_type=True,
                transactional_ddl=True,
            )
            with context.begin_transaction():
                context.run_migrations()


def _prepare_sqlite(connection: Connection) -> None:
    """Set what can only be set outside a transaction; BEGIN IMMEDIATE then is the lock."""
    raw = connection.connection.dbapi_connection
    assert raw is not None
    # A table that is rebuilt must not drag the rows that refer to it along.
    raw.execute("PRAGMA foreign_keys = OFF")
    raw.execute("PRAGMA busy_timeout = 60000")


def _lock(connection: Connection) -> None:
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:name)"), {"name": ADVISORY_LOCK})
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))


run()
