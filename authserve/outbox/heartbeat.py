"""The heartbeat of the workers: the time at which one was last alive."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import select

from authserve.core.clock import now
from authserve.database.transactions import dialect_insert, read_all, transaction
from authserve.outbox.models import HEARTBEAT_ID, WorkerHeartbeat


def record_heartbeat() -> Iterator[int]:
    """Record that a worker is alive, as a job of one slice.

    Yields:
        1, once the heartbeat is committed.
    """
    insert = dialect_insert(WorkerHeartbeat).values(id=HEARTBEAT_ID, seen_at=now())
    upsert = insert.on_conflict_do_update(
        index_elements=["id"], set_={"seen_at": insert.excluded.seen_at}
    )
    with transaction() as session:
        session.execute(upsert)
    yield 1


def find_last_heartbeat() -> datetime | None:
    """Return when a worker was last alive, or None if none has run yet."""
    rows = read_all(select(WorkerHeartbeat.seen_at))
    return rows[0].seen_at if rows else None
