"""Databases with many users, each with a role, a session, a device and two events.

The rows are made in a few statements. They are what the service would have written, but for two
things: all users share one password hash, and the events are in no sealed batch.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from argon2 import PasswordHasher
from sqlalchemy import Connection, create_engine, insert, text

from authserve.auth.models import SeenDevice
from authserve.auth.seen_devices import digest_of_device
from authserve.core.actor import RequestInfo
from authserve.settings.model import PasswordCost

PASSWORD = "correct horse battery staple"

FIRST_CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)
"""Time of the first user; each following one came a second later."""

DEAD_SESSIONS = 10_000

CALLER = RequestInfo(ip="127.0.0.1")
"""A request of the bench's callers, by whose device all users have signed in today. A new device
costs further statements, and most sign-ins are from a known one."""

DEVICES_AT_ONCE = 10_000
"""Limits the rows of devices that are in memory at once (chosen)."""


@dataclass(frozen=True)
class Dialect:
    """The SQL expressions in which the databases differ; each numbers its rows by `n`."""

    numbers: str
    uuid: str
    random_uuid: str
    created_at: str


DIALECTS = {
    "postgresql": Dialect(
        numbers="(SELECT generate_series(1, :rows) AS n) AS numbers",
        uuid="lpad(to_hex({}), 32, '0')::uuid",
        random_uuid="gen_random_uuid()",
        created_at="CAST(:first AS timestamptz) + n * interval '1 second'",
    ),
    "sqlite": Dialect(
        numbers="""(WITH RECURSIVE counted(n) AS
                    (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < :rows)
                    SELECT n FROM counted) AS numbers""",
        uuid="printf('%032x', {})",
        random_uuid="lower(hex(randomblob(16)))",
        created_at="strftime('%Y-%m-%d %H:%M:%f000', :first, '+' || n || ' seconds')",
    ),
}

USERS = """
    INSERT INTO users (id, audit_id, email, email_verified, username, display_name, name_key,
                       password_hash, is_active, created_at, updated_at, last_login_at)
    SELECT {id}, {random_uuid}, 'user' || n || '@example.com', true, 'user' || n, 'User ' || n,
           'user ' || n, :password_hash, n % 100 <> 0, {created_at}, {created_at}, {created_at}
    FROM {numbers}
    """

ROLES = "INSERT INTO user_roles (user_id, role_name) SELECT {id}, 'user' FROM {numbers}"

SESSIONS = """
    INSERT INTO sessions (id, user_id, generation, family_digest, created_at, last_used_at,
                          idle_expires_at, expires_at, amr, auth_time)
    SELECT {session_id}, {id}, 0, :bytes, {created_at}, {created_at}, :ends_at, :ends_at,
           '["pwd"]', {created_at}
    FROM {numbers}
    """

APP_SESSIONS = """
    INSERT INTO sessions (id, user_id, kind, client_id, parent_id, scope, generation, family_digest,
                          created_at, last_used_at, idle_expires_at, expires_at, amr, auth_time)
    SELECT {session_id}, {id}, 'app', :client_id, {id}, 'openid', 0, :bytes, {created_at},
           {created_at}, :ends_at, :ends_at, '["pwd"]', {created_at}
    FROM {numbers}
    """
"""The parent is the session of the same number, whose id is the user's."""

EVENTS = """
    INSERT INTO audit_events (id, occurred_at, action, outcome, actor_audit_id, subject_audit_id,
                              details_digest)
    SELECT {event_id}, users.created_at, :action, 'success', audit_id, audit_id, :bytes
    FROM {numbers} JOIN users ON users.username = 'user' || n
    """

DETAILS = """
    INSERT INTO audit_details (event_id, salt, ip, details)
    SELECT {event_id}, :bytes, '192.0.2.7', '{{}}' FROM {numbers}
    """


def fill(database_url: str, rows: int, *, apps: int = 0) -> None:
    """Write `rows` users, `user1` to `user<rows>`, into an empty database that is migrated.

    Args:
        apps: sessions of apps of each user, besides the user's own.
    """
    engine = create_engine(database_url)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL synchronous_commit = off"))
        _fill(connection, DIALECTS[engine.dialect.name], rows, apps)
        _fill_devices(connection, rows)
    if engine.dialect.name == "postgresql":
        # What autovacuum has done by the time that so many users have come. SQLite does nothing
        # of that kind by itself.
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()


def _fill(connection: Connection, dialect: Dialect, rows: int, apps: int) -> None:
    def insert(statement: str, **parameters: object) -> None:
        offset = parameters.pop("offset", 0)
        filled = statement.format(
            id=dialect.uuid.format("n"),
            session_id=dialect.uuid.format(f"n + {offset}"),
            event_id=dialect.uuid.format(f"2 * n + {offset}"),
            numbers=dialect.numbers,
            random_uuid=dialect.random_uuid,
            created_at=dialect.created_at,
        )
        connection.execute(text(filled), common | parameters)

    def moment(value: datetime) -> object:
        # As each column holds it: SQLite's is text without a zone.
        return value if dialect is DIALECTS["postgresql"] else f"{value:%Y-%m-%d %H:%M:%S.%f}"

    common = {"rows": rows, "bytes": bytes(16), "first": moment(FIRST_CREATED_AT)}
    insert(USERS, password_hash=_hash())
    insert(ROLES)
    in_ten_days = moment(datetime.now(UTC) + timedelta(days=10))
    insert(SESSIONS, ends_at=in_ten_days)
    for number in range(1, apps + 1):
        offset = number * 10 * rows
        insert(APP_SESSIONS, client_id=f"app{number}", ends_at=in_ten_days, offset=offset)
    long_ago = moment(datetime.now(UTC) - timedelta(days=1))
    dead = min(rows, DEAD_SESSIONS)
    insert(SESSIONS, ends_at=long_ago, rows=dead, offset=rows)
    for offset, action in enumerate(("user.registered", "session.started")):
        insert(EVENTS, action=action, offset=offset)
        insert(DETAILS, offset=offset)
    connection.execute(text("DELETE FROM audit_unsealed"))


def _fill_devices(connection: Connection, rows: int) -> None:
    now = datetime.now(UTC)
    for start in range(1, rows + 1, DEVICES_AT_ONCE):
        users = [UUID(int=n) for n in range(start, min(start + DEVICES_AT_ONCE, rows + 1))]
        devices = [
            {
                "digest": digest_of_device(user, CALLER),
                "user_id": user,
                "last_seen_at": now,
                "sightings": 2,
            }
            for user in users
        ]
        connection.execute(insert(SeenDevice), devices)


def _hash() -> str:
    cost = PasswordCost()
    return PasswordHasher(cost.time_cost, cost.memory_kib, cost.parallelism).hash(PASSWORD)
