"""Reading the audit trail: the ids that events hold become the users' own ids."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, Subquery, select, tuple_, union
from sqlalchemy.orm import InstrumentedAttribute

from authserve.audit.models import AuditDetail, AuditEvent
from authserve.audit.pseudonyms import find_user_ids, get_audit_id
from authserve.core.actor import UserRef
from authserve.core.events import AuditAction
from authserve.database.sqlite_hints import is_common_on_sqlite, unindexed
from authserve.database.transactions import read_all


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEvent:
    """One event as the API shows it; what was erased is None or empty."""

    id: UUID
    occurred_at: datetime
    action: str
    outcome: str
    actor_id: UUID | None
    actor_client_id: str | None
    subject_id: UUID | None
    ip: str | None
    user_agent: str | None
    correlation_id: str | None
    details: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedFailure:
    """A sign-in that failed."""

    at: datetime
    reason: str | None
    correlation_id: str | None
    ip: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilters:
    """Which events a list holds; what is None does not narrow it.

    Args:
        after, before: moments; both bounds are left out.
    """

    action: AuditAction | None = None
    actor_id: UUID | None = None
    subject_id: UUID | None = None
    correlation_id: str | None = None
    after: datetime | None = None
    before: datetime | None = None

    @property
    def is_bound_to_time(self) -> bool:
        """Whether only events of a certain time fit."""
        return self.after is not None or self.before is not None


Position = tuple[datetime, UUID]
"""Where an event stands in every list: when it happened, and its id."""


def position_of(event: RecordedEvent) -> Position:
    """Where an event stands, for the page after it."""
    return event.occurred_at, event.id


def find_events(
    filters: EventFilters, *, limit: int, before: Position | None = None
) -> Sequence[RecordedEvent]:
    """At most `limit` events that fit, newest first.

    Args:
        before: only those that stand before this, for the next page.
    """
    statement = _select_events().where(*_conditions(filters)).limit(limit)
    in_order = _newest_first_by_time if filters.is_bound_to_time else _newest_first_by_id
    return recorded(read_all(in_order(statement, before)))


def find_own_events(
    user: UserRef, *, limit: int, before: UUID | None = None
) -> Sequence[RecordedEvent]:
    """At most `limit` events by or about a user, newest first, as that user may see them.

    Where another user acted, from where they did so is left out.

    Args:
        before: only those with a smaller id, for the next page.
    """
    newest = _newest_ids(user.audit_id, limit=limit, before=before)
    statement = (
        select(*EVENT_AND_DETAILS)
        .join_from(newest, AuditEvent, AuditEvent.id == newest.c.id)
        .outerjoin(AuditDetail, AuditDetail.event_id == AuditEvent.id)
        .order_by(AuditEvent.id.desc())
        .limit(limit)
    )
    return [_as_seen_by(user, event) for event in recorded(read_all(statement))]


def _newest_ids(audit_id: UUID, *, limit: int, before: UUID | None) -> Subquery:
    """Select the ids of a user's newest events: one range of one index for each of two columns."""
    branches = []
    for column in (AuditEvent.subject_audit_id, AuditEvent.actor_audit_id):
        branch = select(AuditEvent.id).where(column == audit_id)
        if before is not None:
            branch = branch.where(AuditEvent.id < before)
        branches.append(select(branch.order_by(AuditEvent.id.desc()).limit(limit).subquery()))
    return union(*branches).subquery()


def _as_seen_by(user: UserRef, event: RecordedEvent) -> RecordedEvent:
    if event.actor_id in (None, user.id):
        return event
    return replace(event, ip=None, user_agent=None)


_Events = Select[*tuple[Any, ...]]


def _newest_first_by_id(statement: _Events, before: Position | None) -> _Events:
    """Ids grow with time, and the indexes of actions, actors and subjects hold them."""
    if before is not None:
        statement = statement.where(AuditEvent.id < before[1])
    return statement.order_by(AuditEvent.id.desc())


def _newest_first_by_time(statement: _Events, before: Position | None) -> _Events:
    """By the time that a filter asks about: a page begins where the index of times has it.

    Ids cannot tell where that is, since theirs is another look at a clock that may have been set
    meanwhile, and an event that is left out of an inquiry is worse than a slow one.
    """
    if before is not None:
        statement = statement.where(tuple_(AuditEvent.occurred_at, AuditEvent.id) < before)
    return statement.order_by(AuditEvent.occurred_at.desc(), AuditEvent.id.desc())


def find_last_sign_in_failures(user: UserRef, *, limit: int) -> Sequence[RecordedFailure]:
    """The newest failed sign-ins of a user."""
    statement = _select_events().where(
        AuditEvent.subject_audit_id == user.audit_id,
        AuditEvent.action == AuditAction.SESSION_SIGN_IN_FAILED,
    )
    statement = _newest_first_by_id(statement, None).limit(limit)
    return [
        RecordedFailure(
            at=row.occurred_at,
            reason=(row.details or {}).get("reason"),
            correlation_id=row.correlation_id,
            ip=row.ip,
        )
        for row in read_all(statement)
    ]


EVENT_AND_DETAILS: Sequence[InstrumentedAttribute[Any]] = (
    AuditEvent.id,
    AuditEvent.occurred_at,
    AuditEvent.action,
    AuditEvent.outcome,
    AuditEvent.actor_audit_id,
    AuditEvent.subject_audit_id,
    AuditEvent.actor_client_id,
    AuditEvent.correlation_id,
    AuditDetail.ip,
    AuditDetail.user_agent,
    AuditDetail.details,
)
"""What `recorded` needs to know of each event."""


def _select_events() -> _Events:
    details = AuditDetail.event_id == AuditEvent.id
    return select(*EVENT_AND_DETAILS).outerjoin_from(AuditEvent, AuditDetail, details)


def _conditions(filters: EventFilters) -> Iterable[ColumnElement[bool]]:
    if filters.action is not None:
        yield _is_action(filters.action, by_time=filters.is_bound_to_time)
    if filters.actor_id is not None:
        yield AuditEvent.actor_audit_id == get_audit_id(filters.actor_id)
    if filters.subject_id is not None:
        yield AuditEvent.subject_audit_id == get_audit_id(filters.subject_id)
    if filters.correlation_id is not None:
        yield AuditEvent.correlation_id == filters.correlation_id
    if filters.after is not None:
        yield AuditEvent.occurred_at > filters.after
    if filters.before is not None:
        yield AuditEvent.occurred_at < filters.before


def _is_action(action: AuditAction, *, by_time: bool) -> ColumnElement[bool]:
    is_action: ColumnElement[bool] = AuditEvent.action == action
    if by_time and is_common_on_sqlite(select(AuditEvent.id).where(is_action)):
        return unindexed(AuditEvent.action) == action
    return is_action


def recorded(rows: Sequence[Row[Any]]) -> Sequence[RecordedEvent]:
    """Return the events of rows of `EVENT_AND_DETAILS`, with their users' own ids."""
    audit_ids = {row.actor_audit_id for row in rows} | {row.subject_audit_id for row in rows}
    ids = find_user_ids(audit_ids - {None})
    return [
        RecordedEvent(
            id=row.id,
            occurred_at=row.occurred_at,
            action=row.action,
            outcome=row.outcome,
            actor_id=ids.get(row.actor_audit_id),
            actor_client_id=row.actor_client_id,
            subject_id=ids.get(row.subject_audit_id),
            ip=row.ip,
            user_agent=row.user_agent,
            correlation_id=row.correlation_id,
            details=row.details or {},
        )
        for row in rows
    ]
