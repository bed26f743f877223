"""The errors of an imported file and of its rows."""


class UnusableRowError(Exception):
    """A row cannot be imported.

    Args:
        reason: the reason for the operator; it contains no hash.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TransferFileError(Exception):
    """The file as a whole cannot be imported; the message describes the fault."""
