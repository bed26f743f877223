"""Reads of the trail: lists for the API, and the export."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, or_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from authserve.audit.models import AuditDetail, AuditEvent, AuditPseudonym, AuditSeal
from authserve.core.actor import UserRef
from authserve.core.events import AuditAction
from authserve.core.frozen import frozen
from authserve.database.sqlite_hints import is_common_on_sqlite, unindexed
from authserve.database.transactions import read_all
from authserve.users.lists import find_audit_id, find_ids_by_audit_id


@frozen(kw_only=True)
class RecordedEvent:
    """One event as the API shows it; erased fields are None or empty."""

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


@frozen(kw_only=True)
class RecordedFailure:
    """A sign-in that failed."""

    at: datetime
    reason: str | None
    correlation_id: str | None
    ip: str | None


@frozen(kw_only=True)
class EventFilters:
    """The filters of a list of events; a filter that is None is not applied.

    Args:
        after, before: exclusive bounds of the time.
    """

    action: AuditAction | None = None
    actor_id: UUID | None = None
    subject_id: UUID | None = None
    correlation_id: str | None = None
    after: datetime | None = None
    before: datetime | None = None

    @property
    def is_bound_to_time(self) -> bool:
        """True if the list has a bound of time."""
        return self.after is not None or self.before is not None


Position = tuple[datetime, UUID]
"""The position of an event in a list: its time and its id."""


def position_of(event: RecordedEvent) -> Position:
    """Return the position of an event, from which the next page continues."""
    return event.occurred_at, event.id


def find_events(
    filters: EventFilters, *, limit: int, before: Position | None = None
) -> Sequence[RecordedEvent]:
    """Return at most `limit` matching events, newest first.

    Args:
        before: return only events older than this position, for the next page.
    """
    statement = _select_events().where(*_conditions(filters)).limit(limit)
    in_order = _newest_first_by_time if filters.is_bound_to_time else _newest_first_by_id
    return recorded(read_all(in_order(statement, before)))


_Events = Select[*tuple[Any, ...]]


def _newest_first_by_id(statement: _Events, before: Position | None) -> _Events:
    """Order by id: ids grow with time and end the indexes of actions, actors and subjects."""
    if before is not None:
        statement = statement.where(AuditEvent.id < before[1])
    return statement.order_by(AuditEvent.id.desc())


def _newest_first_by_time(statement: _Events, before: Position | None) -> _Events:
    """Order by time, so that a page begins at a position of the index of times.

    An id is no substitute: it reads the clock separately, and the clock may have been set in
    between. A slow query is better than one that misses an event.
    """
    if before is not None:
        statement = statement.where(tuple_(AuditEvent.occurred_at, AuditEvent.id) < before)
    return statement.order_by(AuditEvent.occurred_at.desc(), AuditEvent.id.desc())


_SIGN_IN_FAILURES = (AuditAction.SESSION_SIGN_IN_FAILED, AuditAction.SESSION_SECOND_FACTOR_FAILED)


def find_last_sign_in_failures(user: UserRef, *, limit: int) -> Sequence[RecordedFailure]:
    """Return at most `limit` failed sign-ins of a user, newest first, second steps included."""
    statement = _select_events().where(
        AuditEvent.subject_audit_id == user.audit_id,
        AuditEvent.action.in_(_SIGN_IN_FAILURES),
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
"""The columns that `recorded` needs."""


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
    """Convert rows of `EVENT_AND_DETAILS` to events with the users' own ids."""
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


def find_user_ids(audit_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Return the user ids, also of deleted users, by the ids that events hold.

    Users that a release before migration 0008 deleted have no stored pair and are omitted.
    """
    wanted = set(audit_ids)
    living = find_ids_by_audit_id(wanted)
    return living | _find_deleted(wanted - living.keys())


def get_audit_id(user_id: UUID) -> UUID:
    """Return the id that events hold of a user, existing or deleted.

    An unknown id is returned unchanged: it matches no event.
    """
    living = find_audit_id(user_id)
    if living is not None:
        return living
    kept = read_all(select(AuditPseudonym.audit_id).where(AuditPseudonym.user_id == user_id))
    return kept[0].audit_id if kept else user_id


def find_ids_of_deleted(user_ids: Collection[UUID]) -> set[UUID]:
    """Return those of `user_ids` that deleted users had; no account gets them again."""
    statement = select(AuditPseudonym.user_id).where(AuditPseudonym.user_id.in_(user_ids))
    return {row.user_id for row in read_all(statement)}


def _find_deleted(audit_ids: set[UUID]) -> dict[UUID, UUID]:
    if not audit_ids:
        return {}
    statement = select(AuditPseudonym.audit_id, AuditPseudonym.user_id)
    rows = read_all(statement.where(AuditPseudonym.audit_id.in_(audit_ids)))
    return {row.audit_id: row.user_id for row in rows}


EXPORT_SLICE = 1_000
"""Events read by one statement (chosen, not measured)."""


@frozen(kw_only=True)
class ExportedEvent:
    """An event with its batch and the user ids that it stores.

    The stored ids connect the events of a deleted user.

    Args:
        batch: the number of the batch; None until the event is sealed.
    """

    event: RecordedEvent
    actor_audit_id: UUID | None
    subject_audit_id: UUID | None
    batch: int | None


def export_events(
    *, after: datetime | None = None, before: datetime | None = None
) -> Iterator[ExportedEvent]:
    """Yield every event in the order of `occurred_at`.

    Events of transactions that are still open are missing, so an export up to now may lack the
    newest events. An export that ends some minutes ago is complete.

    Args:
        after, before: exclusive bounds of the time.
    """
    last: Row[Any] | None = None
    while rows := _read_slice(last, after=after, before=before):
        for row, event in zip(rows, recorded(rows), strict=True):
            yield ExportedEvent(
                event=event,
                actor_audit_id=row.actor_audit_id,
                subject_audit_id=row.subject_audit_id,
                batch=row.batch_seq,
            )
        last = rows[-1]


def _read_slice(
    last: Row[Any] | None, *, after: datetime | None, before: datetime | None
) -> Sequence[Row[Any]]:
    statement = (
        select(*EVENT_AND_DETAILS, AuditSeal.batch_seq)
        .outerjoin_from(AuditEvent, AuditDetail, AuditDetail.event_id == AuditEvent.id)
        .outerjoin(AuditSeal, AuditSeal.event_id == AuditEvent.id)
        .order_by(AuditEvent.occurred_at, AuditEvent.id)
        .limit(EXPORT_SLICE)
    )
    if after is not None:
        statement = statement.where(AuditEvent.occurred_at > after)
    if before is not None:
        statement = statement.where(AuditEvent.occurred_at < before)
    if last is not None:
        # The index answers the first condition; the second skips the rows already read.
        is_later = or_(AuditEvent.occurred_at > last.occurred_at, AuditEvent.id > last.id)
        statement = statement.where(AuditEvent.occurred_at >= last.occurred_at, is_later)
    return read_all(statement)
