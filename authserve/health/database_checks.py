"""Checks of the database: connection, schema, clock, privileges, timeouts and file modes."""

import shutil
import stat
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import URL, Connection, func, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from authserve.core.clock import now
from authserve.core.database_remedies import MAKE_ROOM, find_remedy
from authserve.core.findings import Finding, Level
from authserve.database.readiness import is_migrated, probe_writing
from authserve.database.statements import Base
from authserve.database.transactions import db, reading
from authserve.settings.database_url import POOLER, hosts_of
from authserve.settings.model import Settings

CLOCK_WARNING = timedelta(seconds=5)
CLOCK_FAILURE = timedelta(seconds=30)
"""Token verification allows 30 s between clocks; beyond that, it rejects valid tokens."""


def check_connection(settings: Settings) -> Finding:
    """Check that the database answers; warn of a connection without TLS and of SQLite."""
    url = make_url(settings.database_url)
    hosts = hosts_of(url)
    where = f"{url.get_backend_name()} at {', '.join(hosts) or url.database}"
    try:
        with reading() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        reason = str(cause).strip().partition("\n")[0]
        message = f"{where} does not answer ({reason}). {find_remedy(cause)}"
        return Finding("database", Level.FAILURE, message)
    is_far = url.get_backend_name() == "postgresql" and not all(map(_is_local, hosts))
    if is_far and url.query.get("sslmode") not in ("require", "verify-ca", "verify-full"):
        message = f"{where} answers, but its TLS is not required: add ?sslmode=verify-full."
        return Finding("database", Level.WARNING, message)
    if settings.is_production and url.get_backend_name() == "sqlite":
        message = f"{where} answers. SQLite serves one machine: use PostgreSQL for more."
        return Finding("database", Level.WARNING, message)
    return Finding("database", Level.OK, f"{where} answers.")


def _is_local(host: str) -> bool:
    return host.startswith(("/", "@")) or host in ("localhost", "127.0.0.1", "::1")


def check_migrations() -> Finding:
    """Check that the schema is the one that this release expects."""
    try:
        has_all_migrations = is_migrated()
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        message = f"The database's revision cannot be read ({reason}): grant SELECT on its tables."
        return Finding("migrations", Level.FAILURE, message)
    if has_all_migrations:
        return Finding("migrations", Level.OK, "The database has what this release expects.")
    message = "The database is not at this release's revision: run `flask db upgrade`."
    return Finding("migrations", Level.FAILURE, message)


def check_clock() -> Finding:
    """Compare the clocks of this machine and of the database server."""
    return rate_clock_difference(abs(now() - _database_time()))


def rate_clock_difference(difference: timedelta) -> Finding:
    """Return the finding for two clocks that differ by `difference`, which is not negative."""
    seconds = f"{difference.total_seconds():.1f} s"
    if difference > CLOCK_FAILURE:
        level, hint = Level.FAILURE, " Good tokens will be refused: let NTP set both clocks."
    elif difference > CLOCK_WARNING:
        level, hint = Level.WARNING, " Let NTP set both clocks."
    else:
        level, hint = Level.OK, ""
    return Finding("clock", level, f"This machine and the database differ by {seconds}.{hint}")


def _database_time() -> datetime:
    if db.engine.dialect.name == "postgresql":
        with reading() as connection:
            found: datetime = connection.execute(text("SELECT now()")).scalar_one()
        return found
    # SQLite runs in this process and uses its clock.
    return now()


def check_connection_count(settings: Settings) -> Finding:
    """Check that the workers' connections fit below the limit of PostgreSQL."""
    with reading() as connection:
        maximum = int(connection.execute(text("SHOW max_connections")).scalar_one())
    wanted = settings.web_concurrency * settings.database_pool_size
    message = (
        f"This machine's {settings.web_concurrency} workers may open {wanted} connections of "
        f"the server's {maximum}."
    )
    if wanted >= maximum:
        hint = " Lower DATABASE_POOL_SIZE or WEB_CONCURRENCY, or raise max_connections."
        return Finding("connections", Level.FAILURE, message + hint)
    return Finding("connections", Level.OK, message)


DISK_WARNING = 100 * 2**20
"""Free bytes of SQLite's disk below which the doctor warns (chosen)."""

_SPILL = "SELECT count(*) FROM generate_series(1, 500000)"
"""Writes some 7 MB (measured) to a temporary file of PostgreSQL, and changes nothing."""


def check_disk() -> Iterator[Finding]:
    """Check that the database's disk has room: reading and an UPDATE of no row need none."""
    if db.engine.dialect.name == "sqlite":
        yield _check_free_space(Path(db.engine.url.database or "").absolute().parent)
        return
    try:
        with db.engine.begin() as connection:
            connection.execute(text("SET LOCAL work_mem = '64kB'"))
            connection.execute(text(_SPILL))
    except DBAPIError as error:
        reason = str(error.orig).strip().partition("\n")[0]
        is_full = find_remedy(error.orig) == MAKE_ROOM
        message = f"The database's disk cannot be written ({reason}). {find_remedy(error.orig)}"
        yield Finding("disk", Level.FAILURE if is_full else Level.WARNING, message)
    else:
        yield Finding("disk", Level.OK, "The database's disk has room.")


def _check_free_space(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    message = f"The disk of {folder} has {free // 2**20} MiB left."
    if free < 2**20:
        return Finding("disk", Level.FAILURE, f"{message} {MAKE_ROOM}")
    if free < DISK_WARNING:
        return Finding("disk", Level.WARNING, f"{message} Make room: a full disk refuses writes.")
    return Finding("disk", Level.OK, message)


OTHERS = stat.S_IRWXG | stat.S_IRWXO


_LACKING = text(
    """
    SELECT name FROM unnest(CAST(:names AS text[])) AS name
    WHERE NOT (has_table_privilege(name, 'SELECT') AND has_table_privilege(name, 'INSERT')
               AND has_table_privilege(name, 'UPDATE') AND has_table_privilege(name, 'DELETE'))
    ORDER BY name
    """
)


def check_writes() -> Finding:
    """Check that the database accepts writes from this service's role."""
    name = "writes"
    if lacking := _find_tables_without_privileges():
        message = (
            f"The role lacks a privilege on {', '.join(lacking)}: grant it SELECT, INSERT, UPDATE "
            "and DELETE on every table."
        )
        return Finding(name, Level.FAILURE, message)
    try:
        probe_writing()
    except DBAPIError as error:
        return Finding(name, Level.FAILURE, _explain(error))
    return Finding(name, Level.OK, "The database takes writes.")


def check_timeouts(url: URL) -> Iterator[Finding]:
    """Warn if a PostgreSQL timeout is off: a pooler may drop the settings of a session."""
    if url.get_backend_name() != "postgresql":
        return
    with reading() as connection:
        lacking = [name for name in _TIMEOUTS if _is_off(connection, name)]
    if not lacking:
        yield Finding("timeouts", Level.OK, "The server's timeouts are in force.")
        return
    message = f"{', '.join(lacking)} is off: add {POOLER}=true to DATABASE_URL if a pooler is used."
    yield Finding("timeouts", Level.WARNING, message)


_TIMEOUTS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")


def _is_off(connection: Connection, name: str) -> bool:
    return connection.scalar(select(func.current_setting(name))) == "0"


def check_file_modes() -> Iterator[Finding]:
    """Warn of a SQLite file that other users of this machine may open."""
    path = Path(db.engine.url.database or "")
    if db.engine.dialect.name != "sqlite" or not path.stat().st_mode & OTHERS:
        return
    message = f"Other users of this machine may open {path}: run `chmod 600 {path}*`."
    yield Finding("database file", Level.WARNING, message)


def _explain(error: DBAPIError) -> str:
    reason = str(error.orig).strip().partition("\n")[0]
    return f"The database takes no writes ({reason}). {find_remedy(error.orig)}"


def _find_tables_without_privileges() -> list[str]:
    if db.engine.dialect.name != "postgresql":
        return []
    names = sorted(table.name for table in Base.metadata.tables.values())
    with reading() as connection:
        return list(connection.scalars(_LACKING, {"names": names}))
