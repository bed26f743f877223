"""What can go wrong with messages."""

from authserve.core.errors import ConflictError, NotFoundError


class MessageNotFoundError(NotFoundError):
    """No message has this id."""

    code = "message_not_found"
    default_detail = "There is no such message."


class MessageNotRetryableError(ConflictError):
    """Only a message that was given up can be tried again."""

    code = "message_not_retryable"
    default_detail = "Only a message that was given up can be tried again."


class DeliveryError(Exception):
    """A message could not be delivered now; it is tried again later.

    Args:
        reason: for the operator; it names no address and no secret.
        is_permanent: True if more tries are unlikely to help; only a few follow.
    """

    def __init__(self, reason: str, *, is_permanent: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_permanent = is_permanent


class DroppedError(Exception):
    """A message has become pointless: its link is superseded, its reader is gone.

    Args:
        reason: for the operator.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
