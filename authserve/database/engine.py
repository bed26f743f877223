"""The engine's settings and events: pool, timeouts, failover; `sqlite.py` has those of SQLite."""

import re
import time
from functools import partial
from typing import Any

from psycopg2.extensions import TRANSACTION_STATUS_IDLE, TRANSACTION_STATUS_INERROR
from sqlalchemy import URL, Connection, Engine, event, make_url
from sqlalchemy.engine import ExceptionContext

from authserve.database.refusals import is_plan_lost, is_read_only
from authserve.database.sqlite import LOCK_TIMEOUT_SECS, is_autocommit, sqlite_options
from authserve.database.watchdog import STATEMENT_LIMIT_SECS, WATCHDOG_DELAY_SECS, WatchedConnection
from authserve.settings.database_url import hosts_of, is_pooled

CONNECT_TIMEOUT_SECS = 3
STATEMENT_TIMEOUT_MS = 5_000
LOCK_TIMEOUT_MS = int(LOCK_TIMEOUT_SECS * 1000)
IDLE_IN_TRANSACTION_TIMEOUT_MS = 10_000
POOL_TIMEOUT_SECS = 2
"""The timeouts of `docs/operating.md`: a caller gets an error long before gunicorn's 30 s."""

POOL_RECYCLE_SECS = 1_800
"""Age of a connection that the pool replaces, in seconds: below the idle limits of common poolers
and firewalls (chosen)."""


def engine_options(database_url: str, *, pool_size: int) -> dict[str, Any]:
    """Return the `SQLALCHEMY_ENGINE_OPTIONS` for `database_url`.

    The pool has no overflow, so `pool_size` limits the connections in use.
    """
    options: dict[str, Any] = {
        # Without this, the text of a database error would put password hashes into the log.
        "hide_parameters": True,
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_timeout": POOL_TIMEOUT_SECS,
        "pool_recycle": POOL_RECYCLE_SECS,
    }
    url = make_url(database_url)
    if url.get_backend_name() == "postgresql":
        options |= _postgresql_options(url)
    else:
        options |= sqlite_options(url)
    return options


_SESSION_SETTINGS = {
    "statement_timeout": str(STATEMENT_TIMEOUT_MS),
    "lock_timeout": str(LOCK_TIMEOUT_MS),
    "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_TIMEOUT_MS),
    "timezone": "UTC",
}

LOCAL_SETTINGS = "authserve.local_settings"
"""Name of the option with the SET statements that precede a transaction's first statement.

Only engines behind a pooler have it, where neither settings nor prepared statements last as long
as the connection.
"""


def _postgresql_options(url: URL) -> dict[str, Any]:
    """Return the options of an engine; the operator's URL overrides each of them."""
    operators = str(url.query.get("options", ""))
    settings = {
        name: value
        for name, value in _SESSION_SETTINGS.items()
        if name not in _names_in_options(operators)
    }
    limit_secs = find_statement_limit(operators)
    connect_args: dict[str, Any] = {
        "connection_factory": partial(WatchedConnection, limit_secs=limit_secs),
        "fallback_application_name": "authserve",
    }
    if "connect_timeout" not in url.query:
        connect_args["connect_timeout"] = CONNECT_TIMEOUT_SECS
    if len(hosts_of(url)) > 1 and "target_session_attrs" not in url.query:
        connect_args["target_session_attrs"] = "read-write"
    if is_pooled(url):
        local = "".join(f"SET LOCAL {name} = '{value}'; " for name, value in settings.items())
        return {"connect_args": connect_args, "execution_options": {LOCAL_SETTINGS: local}}
    ours = [f"-c {name}={value}" for name, value in settings.items()]
    connect_args["options"] = " ".join([*ours, operators]).strip()
    return {"connect_args": connect_args}


_OPTION = re.compile(r"(?:-c\s*|--)([A-Za-z_.-]+)\s*=")
"""`-c name=value` or `--name=value` (PostgreSQL 17, §19.1.3)."""


def _names_in_options(options: str) -> set[str]:
    return {name.replace("-", "_").lower() for name in _OPTION.findall(options)}


_STATEMENT_TIMEOUT = re.compile(r"(?:-c\s*|--)statement[_-]timeout\s*=\s*([0-9]+)(ms|s|min)?(?!\S)")

_UNIT_SECS = {"": 0.001, "ms": 0.001, "s": 1, "min": 60}


def find_statement_limit(options: str) -> float | None:
    """Return the watchdog's limit of a statement in seconds; None for no limit.

    The limit follows a `statement_timeout` in the operator's `options`, since the watchdog must
    not end a statement that the server still allows. Another notation of it means no limit.
    """
    found = _STATEMENT_TIMEOUT.findall(options)
    if not found:
        has_other_form = "statement_timeout" in _names_in_options(options)
        return None if has_other_form else STATEMENT_LIMIT_SECS
    number, unit = found[-1]
    return int(number) * _UNIT_SECS[unit] + WATCHDOG_DELAY_SECS if int(number) else None


def add_postgresql_listeners(engine: Engine) -> None:
    """Make `engine` refuse to commit what failed, and behind a pooler send timeouts itself.

    Without a pooler no statement runs through a listener. `sqlite.py` has the listeners of SQLite.
    """
    if engine.dialect.name != "postgresql":
        return
    event.listen(engine, "begin", _set_autocommit)
    event.listen(engine, "commit", _refuse_to_commit_what_failed)
    settings: str | None = engine.get_execution_options().get(LOCAL_SETTINGS)
    if settings is not None:
        event.listen(engine, "before_cursor_execute", partial(_with_limits, settings), retval=True)


def _with_limits(
    settings: str,
    connection: Connection,
    _cursor: Any,
    statement: str,
    parameters: Any,
    context: Any,
    _many: bool,
) -> tuple[str, Any]:
    """Send the timeouts with the first statement of a transaction, in the same round trip.

    A statement in AUTOCOMMIT is a transaction of its own. Several statements in one message are
    also one transaction (PostgreSQL 17, §53.2.2.1).
    """
    driver: Any = connection.connection.dbapi_connection
    if driver.info.transaction_status != TRANSACTION_STATUS_IDLE:
        return statement, parameters
    if context is not None and context._is_server_side:
        # A server-side cursor puts the text into DECLARE, so the settings go first, separately.
        with driver.cursor() as cursor:
            cursor.execute(settings)
        return statement, parameters
    return settings + statement, parameters


_CONNECTED_AT = "authserve.connected_at"

READ_ONLY_REST_SECS = 2.0
"""Age in seconds below which a read-only connection is kept (chosen). Without it, each write to a
server that is still read-only would cost a connect."""


@event.listens_for(Engine, "connect")
def _note_age(_dbapi_connection: Any, record: Any) -> None:
    record.info[_CONNECTED_AT] = time.monotonic()


@event.listens_for(Engine, "handle_error")
def _discard_read_only_connections(context: ExceptionContext) -> None:
    """Replace all pooled connections when an older one turns out to be read-only.

    After a failover the address may lead to a new primary, while open connections still lead to
    the former one. Connections younger than `READ_ONLY_REST_SECS` are kept.
    """
    connection = context.connection
    if connection is None or not is_read_only(context.original_exception):
        return
    age_secs = time.monotonic() - connection.info[_CONNECTED_AT]
    if age_secs >= READ_ONLY_REST_SECS:
        context.is_disconnect = True


@event.listens_for(Engine, "handle_error")
def _discard_connections_without_plan(context: ExceptionContext) -> None:
    """Replace all pooled connections when one has lost the plan of a prepared statement.

    A migration takes it from all of them. The caller gets 503, since a transaction cannot repeat
    its statements.
    """
    if is_plan_lost(context.original_exception):
        context.is_disconnect = True


def _set_autocommit(connection: Connection) -> None:
    """Set AUTOCOMMIT or end it, as the connection's options say.

    At each use: SQLAlchemy's option would reset the driver's isolation level after each use, for
    which psycopg2 sends a statement, a second round trip. SQLAlchemy sends the event "begin" in
    AUTOCOMMIT too.
    """
    driver: Any = connection.connection.dbapi_connection
    if not driver.closed:
        driver.autocommit = is_autocommit(connection)


class TransactionLostError(RuntimeError):
    """A part of the transaction failed, and its error was swallowed.

    A commit would keep only half of that part's writes, so everything was rolled back.
    """


def _refuse_to_commit_what_failed(connection: Connection) -> None:
    """Refuse to commit a failed transaction: PostgreSQL would roll it back and report no error.

    Raises:
        TransactionLostError: a statement failed, and its error was swallowed.
    """
    driver: Any = connection.connection.dbapi_connection
    if driver.info.transaction_status == TRANSACTION_STATUS_INERROR:
        raise TransactionLostError
