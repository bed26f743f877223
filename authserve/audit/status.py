"""Reports on the trail's state: the last verification, and addresses that clients share."""

from datetime import datetime, timedelta

from sqlalchemy import func, select

from authserve.audit.models import AuditDetail, AuditEvent
from authserve.core.clock import now
from authserve.core.events import AuditAction, Outcome
from authserve.core.frozen import frozen
from authserve.database.transactions import read_all

RECENT = timedelta(days=1)
MAX_EVENTS = 200
"""The newest events that are checked: enough to show a wrong setting, or its correction."""

MIN_EVENTS = 20
MIN_USERS = 5
"""Fewer events or users may be one household (all four numbers chosen, not measured)."""


@frozen()
class SharedAddress:
    """An address that all recent events came from."""

    ip: str
    events: int
    users: int

    @property
    def warning(self) -> str:
        """The warning for the operator."""
        return (
            f"The last {self.events} events, of {self.users} users, all came from {self.ip}. If "
            "that is a proxy, its clients share one limit and one throttle: set TRUSTED_PROXIES "
            "to the number of proxies."
        )


def find_shared_address() -> SharedAddress | None:
    """Return the address of all recent events if several users share it, else None.

    Events without an address are ignored.
    """
    recent = (
        select(AuditDetail.ip, AuditEvent.subject_audit_id)
        .join(AuditEvent, AuditEvent.id == AuditDetail.event_id)
        .where(AuditDetail.ip.is_not(None), AuditEvent.occurred_at > now() - RECENT)
        .order_by(AuditEvent.occurred_at.desc())
        .limit(MAX_EVENTS)
        .subquery()
    )
    statement = select(
        func.min(recent.c.ip).label("first"),
        func.max(recent.c.ip).label("last"),
        func.count().label("events"),
        func.count(recent.c.subject_audit_id.distinct()).label("users"),
    )
    (found,) = read_all(statement)
    is_shared = found.first == found.last and found.users >= MIN_USERS
    if not is_shared or found.events < MIN_EVENTS:
        return None
    return SharedAddress(found.first, found.events, found.users)


@frozen(kw_only=True)
class Verification:
    """The outcome of the last nightly verification.

    Args:
        fault: the first fault that was found; None if there was none.
    """

    at: datetime
    fault: str | None


def find_last_verification() -> Verification | None:
    """Return the outcome of the newest nightly verification, or None before the first."""
    statement = (
        select(AuditEvent.occurred_at, AuditEvent.outcome, AuditDetail.details)
        .outerjoin(AuditDetail, AuditDetail.event_id == AuditEvent.id)
        .where(AuditEvent.action == AuditAction.AUDIT_VERIFIED)
        .order_by(AuditEvent.id.desc())
        .limit(1)
    )
    for row in read_all(statement):
        is_whole = row.outcome == Outcome.SUCCESS
        fault = None if is_whole else (row.details or {}).get("fault", "unknown")
        return Verification(at=row.occurred_at, fault=fault)
    return None
