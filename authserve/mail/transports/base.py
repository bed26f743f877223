"""What every transport is, and how it fails."""

from email.message import EmailMessage
from typing import Protocol


class TransportError(Exception):
    """A mail did not leave.

    Args:
        reason: for the operator; it names no address and no secret.
        is_outage: whether it says something of the server rather than of this mail.
    """

    def __init__(self, reason: str, *, is_outage: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_outage = is_outage


class Transport(Protocol):
    """Hands a mail on."""

    def send(self, message: EmailMessage, *, to: str) -> None:
        """Hand `message` on for the address `to`.

        Raises:
            TransportError: it did not leave, as far as can be told.
        """

    def check(self) -> None:
        """Find out whether mail could leave now, without sending any.

        Raises:
            TransportError: it could not.
        """
