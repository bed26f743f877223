"""Whether the audit trail is being sealed."""

from datetime import timedelta

from authserve.audit.service import find_oldest_unsealed
from authserve.core.clock import now
from authserve.doctor.service.finding import Finding, Level

LATE = timedelta(minutes=10)
"""A running worker seals within seconds (chosen, not measured)."""


def audit_trail() -> Finding:
    """Warn of events that nobody seals: until then, changing them would not show."""
    oldest = find_oldest_unsealed()
    if oldest is not None and now() - oldest > LATE:
        message = "Audit events wait for over ten minutes to be sealed: does `flask worker` run?"
        return Finding("audit", Level.WARNING, message)
    return Finding("audit", Level.OK, "Audit events are sealed as they come.")
