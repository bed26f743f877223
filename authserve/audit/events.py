"""Events of the audit trail itself."""

from authserve.core.events import AuditAction, DomainEvent, Outcome


class TrailVerified(DomainEvent):
    """A verification by the worker without a fault; the details hold the trail's extent."""

    action = AuditAction.AUDIT_VERIFIED


class TrailFaultFound(DomainEvent):
    """A verification by the worker that found tampering; the details hold the first fault."""

    action = AuditAction.AUDIT_VERIFIED
    outcome = Outcome.FAILURE
