"""Mail that stays on this machine: in the log, or in a folder."""

import logging
import os
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from pathlib import Path

from authserve.mail.transports.base import TransportError

logger = logging.getLogger(__name__)


class ConsoleTransport:
    """Writes mail to the log, for whoever tries the service out; production refuses it."""

    def send(self, message: EmailMessage, *, to: str) -> None:
        """Log the mail with its text, link and all."""
        body = message.get_body(("plain",))
        text = body.get_content() if body is not None else ""
        links = [word for word in text.split() if word.startswith(("http://", "https://"))]
        logger.warning(
            "mail for %s: %s",
            to,
            message["Subject"],
            extra={"link": links[0] if links else None, "text": text},
        )

    def check(self) -> None:
        """The log is always there."""


class FileTransport:
    """Writes each mail as an .eml file.

    Args:
        folder: made when it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, message: EmailMessage, *, to: str) -> None:
        """Write the mail, whole or not at all; the same one twice is one file."""
        name = "".join(c for c in str(message["Message-ID"]) if c.isalnum() or c in "-@.")
        # RFC 6532: an address that is not ASCII can only be written as it is.
        policy = SMTP if to.isascii() else SMTPUTF8
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = self._folder / f".{name}.{os.getpid()}"
            partial.write_bytes(message.as_bytes(policy=policy))
            partial.replace(self._folder / f"{name}.eml")
        except OSError as error:
            reason = f"the folder cannot be written: {error.strerror}"
            raise TransportError(reason, is_outage=True) from error

    def check(self) -> None:
        """See whether the folder can be written."""
        parent = next(path for path in (self._folder, *self._folder.parents) if path.exists())
        if not os.access(parent, os.W_OK):
            raise TransportError("the folder cannot be written", is_outage=True)
