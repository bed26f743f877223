"""Reading the audit trail, table by table."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select

from authserve.audit.models import AuditDetail, AuditEvent
from authserve.core.actor import UserRef
from authserve.database.transactions import read_all


@dataclass(frozen=True)
class Recorded:
    """An event together with its details, which may have been erased."""

    id: UUID
    occurred_at: datetime
    action: str
    outcome: str
    actor: UUID | None
    subject: UUID | None
    correlation_id: str | None
    details_digest: bytes
    salt: bytes | None
    ip: str | None
    user_agent: str | None
    details: dict[str, Any] | None


DETAILS = ("salt", "ip", "user_agent", "details")

EVERYTHING = (
    select(*AuditEvent.__table__.c, *(AuditDetail.__table__.c[name] for name in DETAILS))
    .outerjoin_from(AuditEvent, AuditDetail, AuditDetail.event_id == AuditEvent.id)
    .order_by(AuditEvent.id)
)


def all_events(*actions: str, skip: int = 0) -> list[Recorded]:
    """Every event, or those of `actions`, oldest first; in an application context.

    Args:
        skip: the number of events at the beginning to leave out.
    """
    statement = EVERYTHING.where(AuditEvent.action.in_(actions)) if actions else EVERYTHING
    return [_recorded(row) for row in read_all(statement)[skip:]]


def events_of_request(correlation_id: str) -> list[Recorded]:
    """The events of one request, oldest first; in an application context."""
    statement = EVERYTHING.where(AuditEvent.correlation_id == correlation_id)
    return [_recorded(row) for row in read_all(statement)]


def count_events() -> int:
    """The number of all events; in an application context."""
    return len(read_all(select(AuditEvent.id)))


def _recorded(row: Row[Any]) -> Recorded:
    return Recorded(
        id=row.id,
        occurred_at=row.occurred_at,
        action=row.action,
        outcome=row.outcome,
        actor=row.actor_audit_id,
        subject=row.subject_audit_id,
        correlation_id=row.correlation_id,
        details_digest=row.details_digest,
        salt=row.salt,
        ip=row.ip,
        user_agent=row.user_agent,
        details=row.details,
    )


def events_of(user: UserRef, *actions: str) -> Sequence[Recorded]:
    """The events about a user, or those of `actions`, oldest first."""
    return [event for event in all_events(*actions) if event.subject == user.audit_id]
