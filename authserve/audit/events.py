"""Events of the audit trail itself."""

from authserve.core.events import AuditAction, DomainEvent, Outcome


class TrailVerified(DomainEvent):
    """The worker verified the trail and found no fault; the details hold its extent."""

    action = AuditAction.AUDIT_VERIFIED


class TrailFaultFound(DomainEvent):
    """The worker found that the trail was tampered with; the details hold the first fault."""

    action = AuditAction.AUDIT_VERIFIED
    outcome = Outcome.FAILURE
