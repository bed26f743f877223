"""Counters in the service's own database, as a `Storage` of the `limits` library.

Every hit is one atomic upsert in AUTOCOMMIT. So counts are exact across all workers, and stay
committed if the request fails.
"""

from datetime import timedelta

from limits.storage import Storage
from sqlalchemy import case, delete, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from authserve.core.clock import now
from authserve.database.transactions import dialect_insert, reading, table_of
from authserve.ratelimit.models import THROTTLE_PREFIX, RateCounter
from authserve.ratelimit.storage.window import Window

TABLE = table_of(RateCounter)


class SQLStorage(Storage):
    """Fixed windows that begin with their first hit."""

    STORAGE_SCHEME = ["database"]  # noqa: RUF012 - the library's own declaration

    @property
    def outages(self) -> tuple[type[Exception], ...]:
        """Exceptions that `hit` raises while the database is away.

        An exhausted pool is no outage: a flood must not switch off the limits that should stop it.
        """
        return (DBAPIError,)

    @property
    def base_exceptions(self) -> type[Exception]:
        """Exceptions that the library may wrap."""
        return SQLAlchemyError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count `amount` and return the sum of the window, in one round trip; see `hit`."""
        return self.hit(key, expiry, amount).hits

    def hit(self, key: str, expiry: int, amount: int = 1) -> Window:
        """Count `amount` and return the window, in one round trip.

        Args:
            key: the counter.
            expiry: seconds that a window lasts.
            amount: how much to count.
        """
        moment = now()
        row = {"key": key, "hits": amount, "expires_at": moment + timedelta(seconds=expiry)}
        insert = dialect_insert(RateCounter).values(row)
        is_over = TABLE.c.expires_at <= moment
        upsert = insert.on_conflict_do_update(
            index_elements=[TABLE.c.key],
            set_={
                "hits": case((is_over, insert.excluded.hits), else_=TABLE.c.hits + amount),
                "expires_at": case((is_over, insert.excluded.expires_at), else_=TABLE.c.expires_at),
            },
        ).returning(TABLE.c.hits, TABLE.c.expires_at)
        with reading() as connection:
            hits, expires_at = connection.execute(upsert).one()
        return Window(hits, expires_at.timestamp())

    def get(self, key: str) -> int:
        """Return the sum of the current window, or 0 without one."""
        statement = select(TABLE.c.hits).where(TABLE.c.key == key, TABLE.c.expires_at > now())
        with reading() as connection:
            return int(connection.execute(statement).scalar() or 0)

    def get_expiry(self, key: str) -> float:
        """Return the end of the current window, or now without one, in seconds since 1970."""
        moment = now()
        statement = select(TABLE.c.expires_at).where(
            TABLE.c.key == key, TABLE.c.expires_at > moment
        )
        with reading() as connection:
            expires_at = connection.execute(statement).scalar()
        return float((expires_at or moment).timestamp())

    def check(self) -> bool:
        """Return True if the database answers; otherwise its error is raised."""
        with reading() as connection:
            connection.execute(select(1))
        return True

    def reset(self) -> int | None:
        """Delete every counter but the login throttle's, and return their number."""
        ordinary = ~TABLE.c.key.startswith(THROTTLE_PREFIX, autoescape=True)
        with reading() as connection:
            return int(connection.execute(delete(TABLE).where(ordinary)).rowcount)

    def clear(self, key: str) -> None:
        """Delete one counter."""
        with reading() as connection:
            connection.execute(delete(TABLE).where(TABLE.c.key == key))
