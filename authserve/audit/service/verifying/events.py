"""What every event is held against, wherever it stands."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from authserve.audit.service.recording import details_digest
from authserve.core.clock import to_rfc3339
from authserve.core.crypto import is_equal

LATENESS = timedelta(hours=1)
"""How much older than what is sealed already an event may be that comes late. Timeouts end every
transaction far sooner, and clocks may be half a minute off; chosen, not measured."""


class TamperedError(Exception):
    """The trail is not what was written; the text names what shows it first.

    It is for the operator's eyes alone: no request ever verifies the trail.
    """


def check_details(row: Row[Any]) -> None:
    """Check details that are still there; erased ones are no tampering.

    Raises:
        TamperedError: they were changed.
    """
    if row.details_of is None:
        return
    details = {"ip": row.ip, "user_agent": row.user_agent, "details": row.details}
    if not is_equal(details_digest(row.salt, details), row.details_digest):
        raise TamperedError(f"the details of event {row.id} were changed")


def check_age(event_id: UUID, occurred_at: datetime, horizon: datetime | None) -> None:
    """Check that an event came when it says.

    Args:
        horizon: how new an event had been sealed by then, at the least; None if none was.

    Raises:
        TamperedError: it claims to be far older.
    """
    if horizon is not None and occurred_at < horizon - LATENESS:
        raise TamperedError(
            f"event {event_id} was inserted: it says {to_rfc3339(occurred_at)}, and came when "
            f"events of {to_rfc3339(horizon)} had been sealed"
        )
