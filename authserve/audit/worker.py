"""The worker's jobs for the audit trail."""

from authserve.audit.nightly import verify_nightly
from authserve.audit.prune import prune_events
from authserve.audit.seal import seal_events
from authserve.outbox.worker import Job

SEAL_SECS = 60.0
"""Seconds between two runs of sealing; until then, tampering with a new event stays undetected
(chosen)."""

JOBS = (
    Job(seal_events, period_secs=SEAL_SECS, trouble="audit events could not be sealed"),
    Job(prune_events, trouble="audit events could not be pruned"),
    Job(verify_nightly, trouble="the audit trail could not be verified"),
)
