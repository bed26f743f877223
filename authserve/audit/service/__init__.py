"""The audit trail: written, read, erased, sealed, verified, pruned."""

from authserve.audit.service.addresses import find_shared_address
from authserve.audit.service.exporting import ExportedEvent, export_events
from authserve.audit.service.nightly import (
    Verification,
    find_last_verification,
    verify_nightly,
)
from authserve.audit.service.pruning import prune_events
from authserve.audit.service.pseudonyms import keep_pseudonym
from authserve.audit.service.reading import (
    EventFilters,
    RecordedEvent,
    RecordedFailure,
    find_events,
    find_last_sign_in_failures,
    find_own_events,
    position_of,
)
from authserve.audit.service.recording import details_digest, erase_details, record
from authserve.audit.service.rewrapping import count_former_heads, rewrap_heads
from authserve.audit.service.sealing import (
    count_unsealed_events,
    find_oldest_unsealed,
    seal_events,
)
from authserve.audit.service.verifying import (
    TamperedError,
    Verified,
    chain_length,
    verify_trail,
)

__all__ = [
    "EventFilters",
    "ExportedEvent",
    "RecordedEvent",
    "RecordedFailure",
    "TamperedError",
    "Verification",
    "Verified",
    "chain_length",
    "count_former_heads",
    "count_unsealed_events",
    "details_digest",
    "erase_details",
    "export_events",
    "find_events",
    "find_last_sign_in_failures",
    "find_last_verification",
    "find_oldest_unsealed",
    "find_own_events",
    "find_shared_address",
    "keep_pseudonym",
    "position_of",
    "prune_events",
    "record",
    "rewrap_heads",
    "seal_events",
    "verify_nightly",
    "verify_trail",
]
