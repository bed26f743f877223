"""Checks of single events, sealed or not."""

from collections.abc import Sequence, Set
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select

from authserve.audit.models import AuditEvent
from authserve.audit.record import details_digest
from authserve.core.clock import to_rfc3339
from authserve.core.crypto import is_equal
from authserve.core.events import AuditAction
from authserve.database.transactions import read_all
from authserve.users.lists import find_ids_by_audit_id

LATENESS = timedelta(hours=1)
"""The longest time by which a late event may be older than the events already sealed. Timeouts end
every transaction far sooner, and clocks may be half a minute off (chosen, not measured)."""


class TamperedError(Exception):
    """The first fault that shows tampering with the trail; the message names it.

    Only operators see the message: no request verifies the trail.
    """


def find_deleted_users(rows: Sequence[Row[Any]]) -> Set[UUID]:
    """Return the deleted users among those of events without details, as the ids in the events.

    Only the event `user.deleted` explains missing details, and only if no account has the id:
    otherwise an attacker could insert that event to hide a removal.
    """
    bare = {user for row in rows if row.details_of is None for user in _users_of(row)}
    if not bare:
        return frozenset()
    statement = select(AuditEvent.subject_audit_id).where(
        AuditEvent.subject_audit_id.in_(bare), AuditEvent.action == AuditAction.USER_DELETED
    )
    deleted = {row.subject_audit_id for row in read_all(statement)}
    return deleted - find_ids_by_audit_id(deleted).keys()


def _users_of(row: Row[Any]) -> Set[UUID]:
    return {row.subject_audit_id, row.actor_audit_id} - {None}


def check_details(row: Row[Any], *, deleted: Set[UUID]) -> None:
    """Check that an event's details are unchanged, or were erased with one of its users.

    Args:
        deleted: the result of `find_deleted_users` for rows that include this one.

    Raises:
        TamperedError: the details were changed, or removed.
    """
    if row.details_of is None:
        if not _users_of(row) & deleted:
            raise TamperedError(f"the details of event {row.id} were removed")
        return
    details = {"ip": row.ip, "user_agent": row.user_agent, "details": row.details}
    if not is_equal(details_digest(row.salt, details), row.details_digest):
        raise TamperedError(f"the details of event {row.id} were changed")


def check_age(event_id: UUID, occurred_at: datetime, horizon: datetime | None) -> None:
    """Check that an event is not much older than the events sealed before it.

    Args:
        horizon: a time that the events sealed before had reached; None if there are none.

    Raises:
        TamperedError: the event is older than `horizon` by more than `LATENESS`.
    """
    if horizon is not None and occurred_at < horizon - LATENESS:
        raise TamperedError(
            f"event {event_id} was inserted: it says {to_rfc3339(occurred_at)}, and came when "
            f"events of {to_rfc3339(horizon)} had been sealed"
        )
