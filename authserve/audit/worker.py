"""What the worker does for the audit trail."""

from authserve.audit.nightly import verify_nightly
from authserve.audit.prune import prune_events
from authserve.audit.seal import seal_events
from authserve.outbox.worker import Job

SEAL_SECS = 60.0
"""For about so long a new event can be tampered with and no one the wiser (chosen)."""

JOBS = (
    Job(seal_events, period_secs=SEAL_SECS, trouble="audit events could not be sealed"),
    Job(prune_events, trouble="audit events could not be pruned"),
    Job(verify_nightly, trouble="the audit trail could not be verified"),
)
