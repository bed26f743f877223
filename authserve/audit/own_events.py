"""Events by or about a user, as that user may see them.

If another user acted, such as an administrator, their address and user agent are omitted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Row, Select, Subquery, bindparam, select, union

from authserve.audit.models import AuditDetail, AuditEvent
from authserve.audit.read import EVENT_AND_DETAILS, RecordedEvent, recorded
from authserve.core.actor import UserRef
from authserve.core.frozen import frozen
from authserve.database.transactions import read_all


def find_own_events(
    user: UserRef, *, limit: int, before: UUID | None = None
) -> Sequence[RecordedEvent]:
    """Return at most `limit` events by or about a user, newest first.

    Args:
        before: return only events with a smaller id, for the next page.
    """
    found = recorded(_read(user, limit=limit, before=before))
    return [_as_seen_by(user, event) for event in found]


def _as_seen_by(user: UserRef, event: RecordedEvent) -> RecordedEvent:
    if event.actor_id in (None, user.id):
        return event
    return replace(event, ip=None, user_agent=None)


@frozen(kw_only=True)
class ActivityEvent:
    """An event for its user to read, without the ids of accounts; erased fields are None or empty.

    Args:
        is_by_another: True if another account's user acted.
        is_about_another: True if the user acted on another account.
    """

    id: UUID
    occurred_at: datetime
    action: str
    outcome: str
    is_by_another: bool
    is_about_another: bool
    ip: str | None
    user_agent: str | None
    correlation_id: str | None
    details: Mapping[str, Any]


def find_activity(user: UserRef, *, limit: int, before: UUID | None = None) -> list[ActivityEvent]:
    """Return the events of `find_own_events` by one SELECT, since no other account is named."""
    return [_as_activity(user, row) for row in _read(user, limit=limit, before=before)]


def _as_activity(user: UserRef, row: Row[Any]) -> ActivityEvent:
    is_by_another = row.actor_audit_id not in (None, user.audit_id)
    return ActivityEvent(
        id=row.id,
        occurred_at=row.occurred_at,
        action=row.action,
        outcome=row.outcome,
        is_by_another=is_by_another,
        is_about_another=row.subject_audit_id not in (None, user.audit_id),
        ip=None if is_by_another else row.ip,
        user_agent=None if is_by_another else row.user_agent,
        correlation_id=row.correlation_id,
        details=row.details or {},
    )


def _newest_ids(*, has_before: bool) -> Subquery:
    """Select the ids of a user's newest events, by one index range for each of two columns."""
    branches = []
    for column in (AuditEvent.subject_audit_id, AuditEvent.actor_audit_id):
        branch = select(AuditEvent.id).where(column == bindparam("audit_id"))
        if has_before:
            branch = branch.where(AuditEvent.id < bindparam("before"))
        branches.append(select(branch.order_by(AuditEvent.id.desc()).limit(_LIMIT).subquery()))
    return union(*branches).subquery()


def _newest_events(*, has_before: bool) -> Select[*tuple[Any, ...]]:
    newest = _newest_ids(has_before=has_before)
    return (
        select(*EVENT_AND_DETAILS)
        .join_from(newest, AuditEvent, AuditEvent.id == newest.c.id)
        .outerjoin(AuditDetail, AuditDetail.event_id == AuditEvent.id)
        .order_by(AuditEvent.id.desc())
        .limit(_LIMIT)
    )


_LIMIT = bindparam("row_limit", type_=Integer)

_FIRST, _NEXT = (_newest_events(has_before=has_before) for has_before in (False, True))
"""Statements of the first page and of those after it, built once: building one took longer than the
rest of a page's view (measured)."""


def _read(user: UserRef, *, limit: int, before: UUID | None) -> Sequence[Row[Any]]:
    parameters: dict[str, Any] = {"audit_id": user.audit_id, "row_limit": limit}
    if before is None:
        return read_all(_FIRST, parameters)
    return read_all(_NEXT, {**parameters, "before": before})
