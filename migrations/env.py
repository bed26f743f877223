"""The runner of migrations for `flask db`: online only, one at a time, on either database."""

import logging

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

import authserve.app
import authserve.clients.models
import authserve.oidc.models  # noqa: F401 - these bring every table into the metadata
from authserve.core.database_remedies import find_remedy
from authserve.database.readiness import expected_revision, is_of_newer_release
from authserve.database.refusals import is_refusal
from authserve.database.statements import Base
from authserve.database.transactions import db

logger = logging.getLogger("authserve.migrations")

ADVISORY_LOCK = 0x61757468
"""PostgreSQL's name for our lock: "auth" in ASCII."""

LOCK_TIMEOUT = "2s"
"""A migration that cannot have its table lock fails soon instead of queueing all traffic up."""


def run() -> None:
    """Bring the schema where the command wants it, waiting for any other starter that does.

    The lock is taken before the present revision is read, and held to the end of the one
    transaction that all steps share; so the second starter finds nothing left to do.

    Raises:
        CommandError: the database is away or read-only, the role lacks a privilege, or a table
            stayed locked; or SQL was asked for, and steps may need to read rows.
    """
    if context.is_offline_mode():
        raise CommandError("Migrations run on the database itself; there is no SQL to print.")
    try:
        _run_alone()
    except DBAPIError as error:
        if not is_refusal(error):
            raise
        reason = str(error.orig).strip().partition("\n")[0]
        message = f"The database does not serve ({reason}). {find_remedy(error.orig)}"
        raise CommandError(message) from error


def _run_alone() -> None:
    with db.engine.connect() as connection:
        # The pool never lends it again: what is set here is right for migrations alone.
        connection.detach()
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
            if not _is_for_newer_release():
                context.run_migrations()


def _is_for_newer_release() -> bool:
    """Return True if the command asks for our newest tables and a newer release has added its own.

    That is so when a release is rolled back: as migrations drop only what it does not need, it can
    serve as it is.
    """
    current = context.get_context().get_current_revision()
    if not is_of_newer_release(current) or _wanted_revision() != expected_revision():
        return False
    logger.warning("a newer release migrated the database; nothing to do", extra={"at": current})
    return True


def _wanted_revision() -> object:
    try:
        return context.get_revision_argument()
    except KeyError:  # `flask db current`, for one, wants none.
        return None


def _prepare_sqlite(connection: Connection) -> None:
    """Set what can only be set outside a transaction; BEGIN IMMEDIATE then is the lock."""
    raw = connection.connection.dbapi_connection
    assert raw is not None
    # A table that is rebuilt must not drag the rows that refer to it along.
    raw.execute("PRAGMA foreign_keys = OFF")
    raw.execute("PRAGMA busy_timeout = 60000")


def _lock(connection: Connection) -> None:
    # Neither the server nor our own watchdog ends a migration.
    driver = connection.connection.dbapi_connection
    assert driver is not None
    driver.is_limited = False
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:name)"), {"name": ADVISORY_LOCK})
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))


run()
