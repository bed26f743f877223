"""Errors of sending mail."""


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
