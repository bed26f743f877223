"""Mail that stays on this machine: on standard output, or in a folder."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from authserve.mail.message import OutgoingMail
from authserve.mail.transports.base import TransportError

RULE = "-" * 72
"""Stands above and below a printed mail."""


class ConsoleTransport:
    """Prints mail for people who try the service out; production refuses it."""

    def send(self, mail: OutgoingMail) -> None:
        """Print the mail's text, link and all, in lines as people read them."""
        head = f"To: {mail.recipient}\nSubject: {mail.subject}"
        printed = f"{RULE}\n{head}\n\n{mail.text.strip()}\n{RULE}\n"
        encoding = sys.stdout.encoding or "ascii"
        # In one write, so that no other process's line stands between.
        sys.stdout.write(printed.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()

    def check(self) -> None:
        """Return: standard output is always there."""


class FileTransport:
    """Writes each mail as an .eml file, for the service's own user alone.

    Args:
        folder: made when it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, mail: OutgoingMail) -> None:
        """Write the mail, whole or not at all; the same one twice is one file."""
        partial = self._folder / f".{mail.message_id}.{os.getpid()}"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_privately(partial, mail.content)
            partial.replace(self._folder / f"{mail.message_id}.eml")
        except OSError as error:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            reason = f"the folder cannot be written: {error.strerror}"
            raise TransportError(reason, is_outage=True) from error

    def check(self) -> None:
        """Raise unless the folder can be written, or made."""
        parent = next(path for path in (self._folder, *self._folder.parents) if path.exists())
        if not os.access(parent, os.W_OK):
            raise TransportError("the folder cannot be written", is_outage=True)


def _write_privately(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read: it holds links."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
