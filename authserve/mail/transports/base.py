"""The interface of transports, and their error."""

from typing import Protocol

from authserve.mail.message import OutgoingMail


class TransportError(Exception):
    """Error for a mail that was not sent.

    Args:
        reason: for the operator; it names no address and no secret.
        is_outage: True if the server is at fault rather than this mail.
        is_permanent: True if the server refused the recipient for good (RFC 5321 §4.2.1, 5yz).
    """

    def __init__(self, reason: str, *, is_outage: bool, is_permanent: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_outage = is_outage
        self.is_permanent = is_permanent


class Transport(Protocol):
    """A way to send a mail."""

    def send(self, mail: OutgoingMail) -> None:
        """Send `mail` to its recipient.

        Raises:
            TransportError: it was not sent, as far as the transport knows.
        """

    def check(self) -> None:
        """Raise unless mail could be sent now; send none.

        Raises:
            TransportError: it could not.
        """
