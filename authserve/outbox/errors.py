"""Errors of the outbox."""

from authserve.core.errors import ConflictError, NotFoundError


class MessageNotFoundError(NotFoundError):
    """Error for an id that no message has."""

    code = "message_not_found"
    default_detail = "There is no such message."


class MessageNotRetryableError(ConflictError):
    """Error for retrying a message that was not given up."""

    code = "message_not_retryable"
    default_detail = "Only a message that was given up can be tried again."


class DeliveryError(Exception):
    """Error of a delivery that failed; the worker retries it later.

    Args:
        reason: for the operator; it names no address and no secret.
        is_permanent: True if more tries are unlikely to help; then only a few follow.
        is_final: True if none follows.
    """

    def __init__(self, reason: str, *, is_permanent: bool = False, is_final: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_permanent = is_permanent
        self.is_final = is_final


class DroppedError(Exception):
    """Error for a message that has become pointless: link superseded, account deleted.

    Args:
        reason: for the operator.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
