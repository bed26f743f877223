"""Looking at sessions."""

from uuid import UUID

from sqlalchemy import select

from authserve.core.clock import now
from authserve.core.db import transaction
from authserve.sessions.models import Session
from authserve.sessions.service.rows import is_live


def find_live_sessions(user_id: UUID, *, limit: int, before: UUID | None = None) -> list[Session]:
    """The live sessions of a user, newest first.

    Args:
        before: only those older than this id, for the next page.
    """
    statement = (
        select(Session)
        .where(Session.user_id == user_id, is_live(now()))
        .order_by(Session.id.desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(Session.id < before)
    with transaction() as session:
        return list(session.scalars(statement))
