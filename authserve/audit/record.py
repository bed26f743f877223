"""Writes to the audit trail: recording events, and erasing details with an account."""

import json
from typing import Any

from sqlalchemy import delete, insert, or_, select

from authserve.audit.models import AuditDetail, AuditEvent, AuditPseudonym
from authserve.core.clock import now
from authserve.core.crypto import digest, random_bytes
from authserve.core.events import DomainEvent
from authserve.core.ids import new_id
from authserve.database.statements import PreparedStatement, table_of
from authserve.database.transactions import execute, execute_prepared, insert_if_absent

SALT_BYTES = 16

_INSERT_EVENT = PreparedStatement(insert(table_of(AuditEvent)), name="audit_event")
_INSERT_DETAIL = PreparedStatement(insert(table_of(AuditDetail)), name="audit_detail")


def record(event: DomainEvent) -> None:
    """Handle any domain event: record it in the transaction that emitted it."""
    event_id, salt = new_id(), random_bytes(SALT_BYTES)
    details: dict[str, Any] = {
        "ip": event.request.ip,
        "user_agent": event.request.user_agent,
        "details": dict(event.details),
    }
    execute_prepared(
        _INSERT_EVENT,
        {
            "id": event_id,
            "occurred_at": now(),
            "action": event.action,
            "outcome": event.outcome,
            "actor_audit_id": event.actor.user.audit_id if event.actor.user else None,
            "subject_audit_id": event.subject.audit_id if event.subject else None,
            "actor_client_id": event.actor.client_id,
            "correlation_id": event.request.correlation_id,
            "details_digest": details_digest(salt, details),
        },
    )
    execute_prepared(_INSERT_DETAIL, {"event_id": event_id, "salt": salt, **details})


def erase_details(event: DomainEvent) -> None:
    """Handle the deletion of an account: delete the details of all events by or about it."""
    if event.subject is None:
        return
    audit_id = event.subject.audit_id
    theirs = select(AuditEvent.id).where(
        or_(AuditEvent.subject_audit_id == audit_id, AuditEvent.actor_audit_id == audit_id)
    )
    statement = delete(AuditDetail).where(AuditDetail.event_id.in_(theirs))
    execute(statement.execution_options(synchronize_session=False))


def keep_pseudonym(event: DomainEvent) -> None:
    """Handle the deletion of an account: store its id with the id that its events hold."""
    if event.subject is None:
        return
    pair = {"audit_id": event.subject.audit_id, "user_id": event.subject.id}
    execute(insert_if_absent(AuditPseudonym), pair)


def details_digest(salt: bytes, details: dict[str, Any]) -> bytes:
    """Return the salted digest that an event keeps of its details.

    It reveals a change of the details, but not the details themselves.
    """
    canonical = json.dumps(details, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return digest(salt + canonical.encode())
