"""The errors of a file and of its rows."""


class UnusableRowError(Exception):
    """A row cannot be imported.

    Args:
        reason: in words for the person who runs the import; it repeats no hash.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TransferFileError(Exception):
    """The file itself cannot be used; the message says what to do."""
