"""Transports that keep mail on this machine: standard output, or a folder."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from authserve.mail.message import OutgoingMail
from authserve.mail.transports.base import TransportError

RULE = "-" * 72
"""The line above and below a printed mail."""


class ConsoleTransport:
    """A transport that prints mail, for trying the service out; production refuses it."""

    def send(self, mail: OutgoingMail) -> None:
        """Print recipient, subject and text, links included, without the mail's encoding."""
        head = f"To: {mail.recipient}\nSubject: {mail.subject}"
        printed = f"{RULE}\n{head}\n\n{mail.text.strip()}\n{RULE}\n"
        encoding = sys.stdout.encoding or "ascii"
        # One write, so that no other process can print a line in between.
        sys.stdout.write(printed.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()

    def check(self) -> None:
        """Return at once: standard output is always available."""


class FileTransport:
    """A transport that writes each mail as an .eml file, readable by the service's user only.

    Args:
        folder: created if it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, mail: OutgoingMail) -> None:
        """Write the mail, whole or not at all; a repeated mail replaces its file."""
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
        """Raise unless the folder is writable or can be created."""
        parent = next(path for path in (self._folder, *self._folder.parents) if path.exists())
        if not os.access(parent, os.W_OK):
            raise TransportError("the folder cannot be written", is_outage=True)


def _write_privately(path: Path, content: bytes) -> None:
    """Write a new file that only its owner can read, since mails hold links."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
