"""What every transport is, and how it fails."""

from typing import Protocol

from authserve.mail.message import OutgoingMail


class TransportError(Exception):
    """A mail did not leave.

    Args:
        reason: for the operator; it names no address and no secret.
        is_outage: True if it says something of the server rather than of this mail.
        is_permanent: True if the server refused the recipient for good (RFC 5321 §4.2.1, 5yz).
    """

    def __init__(self, reason: str, *, is_outage: bool, is_permanent: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_outage = is_outage
        self.is_permanent = is_permanent


class Transport(Protocol):
    """Hands a mail on."""

    def send(self, mail: OutgoingMail) -> None:
        """Hand `mail` on to its recipient.

        Raises:
            TransportError: it did not leave, as far as can be told.
        """

    def check(self) -> None:
        """Find out whether mail could leave now, without sending any.

        Raises:
            TransportError: it could not.
        """
