"""The errors of an imported file and of its rows."""


class UnusableRowError(Exception):
    """A row that cannot be imported.

    Args:
        reason: the reason for the operator; it contains no hash.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TransferFileError(Exception):
    """A file that cannot be imported; the message describes the fault."""
