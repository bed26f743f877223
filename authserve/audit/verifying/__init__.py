"""Verification of the trail; the first fault is named."""

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
