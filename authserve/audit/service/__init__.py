"""The audit trail: written, read, erased."""

from authserve.audit.service.reading import (
    EventFilters,
    RecordedEvent,
    RecordedFailure,
    find_events,
    find_last_sign_in_failures,
)
from authserve.audit.service.recording import details_digest, erase_details, record

__all__ = [
    "EventFilters",
    "RecordedEvent",
    "RecordedFailure",
    "details_digest",
    "erase_details",
    "find_events",
    "find_last_sign_in_failures",
    "record",
]
