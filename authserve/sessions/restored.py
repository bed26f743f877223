"""Sessions that a backup brought back."""

from sqlalchemy import Label, String, func, literal_column, select

from authserve.core.clock import now
from authserve.database.transactions import db, read_all
from authserve.sessions.models import Session

SAMPLE = 1_000
"""The oldest are looked at: a restored session is older than the restore (chosen)."""


def has_restored_sessions() -> bool | None:
    """Whether live sessions came from a dump, in which some may live that had been ended.

    The service writes each session in a transaction of its own; `pg_restore` writes a table in
    one, and PostgreSQL keeps with each row which transaction wrote it. Ending the sessions, as
    one has to after a restore, is what makes this false again. A session that was refreshed since
    is its own again and tells nothing, while others beside it still do.

    Returns:
        None where nothing can tell: of a copied file, SQLite's or PostgreSQL's own, none can.
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
