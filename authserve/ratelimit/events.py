"""What happens at the login throttle."""

from authserve.core.events import AuditAction, DomainEvent, Outcome


class SignInThrottled(DomainEvent):
    """Wrong passwords have begun a block; one event for each block (what follows is counted).

    The details say by what it was counted: identifier, account or address.
    """

    action = AuditAction.SESSION_SIGN_IN_THROTTLED
    outcome = Outcome.FAILURE
