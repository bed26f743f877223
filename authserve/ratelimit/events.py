"""Events of the login throttle."""

from authserve.core.events import AuditAction, DomainEvent, Outcome


class SignInThrottled(DomainEvent):
    """The beginning of a block by wrong passwords, one event for each block.

    The details name the kind of the counter that blocks (`throttle.Counted`).
    """

    action = AuditAction.SESSION_SIGN_IN_THROTTLED
    outcome = Outcome.FAILURE
