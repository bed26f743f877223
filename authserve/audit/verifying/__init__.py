"""Verifying: whether the trail is what was written, and if not, where that shows first."""

from authserve.audit.verifying.batches import find_fault_of_batch
from authserve.audit.verifying.checks import LATENESS, TamperedError
from authserve.audit.verifying.trail import Verified, chain_length, verify_in_slices, verify_trail

__all__ = [
    "LATENESS",
    "TamperedError",
    "Verified",
    "chain_length",
    "find_fault_of_batch",
    "verify_in_slices",
    "verify_trail",
]
