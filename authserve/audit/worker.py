"""The worker's jobs for the audit trail; one worker verifies it each night."""

import logging
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, update

from authserve.audit.checks import TamperedError
from authserve.audit.models import CHAIN_ID, AuditChain
from authserve.audit.retention import prune_events
from authserve.audit.seal import seal_events
from authserve.audit.verify import verify_in_slices
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.clock import now
from authserve.core.events import AuditAction, Outcome
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.outbox.worker import Job

logger = logging.getLogger(__name__)

SEAL_SECS = 60.0
"""Seconds between two runs of sealing; until then, tampering with a new event stays undetected
(chosen)."""

NIGHT_HOUR = 2
"""The hour of the day, in UTC, after which the trail is verified (chosen)."""


def verify_nightly() -> Iterator[int]:
    """Verify the trail unless a worker has already begun to since the last `NIGHT_HOUR`.

    If the worker stops before the end, the night has no outcome; `flask doctor` warns if nights
    are missing.

    Yields:
        The number of batches checked in each slice; 0 for a slice of unsealed events.
    """
    if not claim_night(now()):
        return
    try:
        verified = yield from verify_in_slices()
    except TamperedError as error:
        logger.error("audit trail was tampered with", extra={"fault": str(error)})
        _record({"fault": str(error)}, outcome=Outcome.FAILURE)
        return
    extent = {
        "batches": verified.batches,
        "events": verified.events,
        "pruned": verified.pruned,
        "unsealed": verified.unsealed,
    }
    logger.info("audit trail verified", extra=extent)
    _record(extent, outcome=Outcome.SUCCESS)


def claim_night(moment: datetime) -> bool:
    """Return True to the first caller of a night, which must verify, and False to all others."""
    begun_at = AuditChain.verification_begun_at
    statement = update(AuditChain).where(
        AuditChain.id == CHAIN_ID, or_(begun_at.is_(None), begun_at < _last_night(moment))
    )
    with transaction() as session:
        result = session.execute(statement.values(verification_begun_at=moment))
    return bool(result.rowcount)  # type: ignore[attr-defined]


def _last_night(moment: datetime) -> datetime:
    night = moment.replace(hour=NIGHT_HOUR, minute=0, second=0, microsecond=0)
    return night if night <= moment else night - timedelta(days=1)


def _record(details: Mapping[str, Any], *, outcome: Outcome) -> None:
    with transaction():
        emit(
            AuditAction.AUDIT_VERIFIED,
            actor=OPERATOR,
            request=RequestInfo(),
            details=details,
            outcome=outcome,
        )


JOBS = (
    Job(seal_events, period_secs=SEAL_SECS, trouble="audit events could not be sealed"),
    Job(prune_events, trouble="audit events could not be pruned"),
    Job(verify_nightly, trouble="the audit trail could not be verified"),
)
