"""Writing, sealing and tampering with the audit trail; inside an application context."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from authserve.audit.models import AuditDetail, AuditEvent, AuditSeal
from authserve.audit.record import details_digest
from authserve.audit.seal import seal_events
from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.clock import now
from authserve.core.events import AuditAction
from authserve.core.ids import new_id
from authserve.database.emit import emit
from authserve.database.transactions import db, read_all, transaction

REQUEST = RequestInfo(ip="192.0.2.1", user_agent="curl/8.5", correlation_id="test-1")

ALICE = UserRef(UUID(int=1), UUID(int=2))

GUARDED = ("audit_events", "audit_details")


def write_events(count: int = 1, *, user: UserRef = ALICE) -> list[UUID]:
    """Record events, each in a transaction of its own, and return their ids."""
    before = set(event_ids())
    for number in range(count):
        with transaction():
            details = {"number": number, "name": "Ä\x7f😀", "list": [1.5, None, True]}
            actor = Actor(user=user)
            emit(
                AuditAction.USER_REGISTERED,
                actor=actor,
                subject=user,
                request=REQUEST,
                details=details,
            )
    return [event_id for event_id in event_ids() if event_id not in before]


def event_row(**columns: Any) -> dict[str, Any]:
    """Return a forged event."""
    return {
        "id": new_id(),
        "occurred_at": now(),
        "action": "user.registered",
        "outcome": "success",
        "actor_audit_id": None,
        "subject_audit_id": uuid4(),
        "correlation_id": "forged",
        "actor_client_id": None,
        "details_digest": details_digest(SALT, NO_DETAILS),
        **columns,
    }


SALT = b"0123456789abcdef"
NO_DETAILS: dict[str, Any] = {"ip": None, "user_agent": None, "details": {}}


def detail_row(event_id: UUID) -> dict[str, Any]:
    """The details of an event that `event_row` made."""
    return {"event_id": event_id, "salt": SALT, **NO_DETAILS}


def delete_from_trail(user: UserRef = ALICE) -> UUID:
    """Erase details as the deletion of a user does; return the id of its event."""
    before = set(event_ids())
    with transaction():
        emit(AuditAction.USER_DELETED, actor=Actor(user=user), subject=user, request=REQUEST)
    (event_id,) = set(event_ids()) - before
    return event_id


def write_rows(count: int) -> None:
    """Write many events at once."""
    rows = [event_row() for _ in range(count)]
    with transaction() as session:
        session.execute(insert(AuditEvent), rows)
        session.execute(insert(AuditDetail), [detail_row(row["id"]) for row in rows])


def seal_all() -> list[int]:
    """Seal everything and return the number of events in each batch."""
    return list(seal_events())


def event_ids() -> list[UUID]:
    """Return every event's id, oldest first."""
    return [row.id for row in read_all(select(AuditEvent.id).order_by(AuditEvent.id))]


def places() -> dict[UUID, tuple[int, int]]:
    """Batch and position of every sealed event."""
    return {
        row.event_id: (row.batch_seq, row.position) for row in read_all(select(AuditSeal.__table__))
    }


def details_of(event_id: UUID) -> Sequence[Any]:
    """The details of an event, if they are still there."""
    return read_all(select(AuditDetail.__table__).where(AuditDetail.event_id == event_id))


@contextmanager
def unguarded() -> Iterator[Session]:
    """Open a transaction without the triggers, which an owner of the tables can disable."""
    with transaction() as session:
        if db.engine.dialect.name == "postgresql":
            with _disabled_triggers(session):
                yield session
        else:
            with _dropped_triggers(session):
                yield session


@contextmanager
def _disabled_triggers(session: Session) -> Iterator[None]:
    connection = session.connection()
    for table in GUARDED:
        connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    yield
    for table in GUARDED:
        connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE TRIGGER USER")


@contextmanager
def _dropped_triggers(session: Session) -> Iterator[None]:
    connection = session.connection()
    found = connection.exec_driver_sql(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name LIKE 'audit%'"
    ).all()
    for name, _ in found:
        connection.exec_driver_sql(f"DROP TRIGGER {name}")
    yield
    for _, sql in found:
        connection.exec_driver_sql(sql)
