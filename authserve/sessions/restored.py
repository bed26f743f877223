"""Detection of sessions that came back with a restored backup."""

from sqlalchemy import Label, String, func, literal_column, select

from authserve.core.clock import now
from authserve.database.transactions import db, read_all
from authserve.sessions.models import Session

SAMPLE = 1_000
"""Number of oldest live sessions that are checked; restored ones are among the oldest (chosen)."""


def has_restored_sessions() -> bool | None:
    """Return True if live sessions came from a dump, where ended sessions may be live again.

    `pg_restore` writes a table in one transaction, and PostgreSQL keeps each row's transaction
    (`xmin`); the service writes each session in its own. So live sessions that share a transaction
    were restored, and have been neither ended nor refreshed since.

    Returns:
        None on SQLite, where a restore cannot be detected. A copied PostgreSQL data directory is
        not detected either, because it keeps each row's transaction.
    """
    if db.engine.dialect.name != "postgresql":
        return None
    moment = now()
    writer: Label[str] = literal_column("sessions.xmin::text", String()).label("writer")
    live = (
        select(writer)
        .select_from(Session.__table__)
        .where(
            Session.revoked_at.is_(None),
            Session.expires_at > moment,
            Session.idle_expires_at > moment,
        )
        .order_by(Session.id)
        .limit(SAMPLE)
        .subquery()
    )
    several = select(live.c.writer).group_by(live.c.writer).having(func.count() > 1).limit(1)
    return bool(read_all(several))
