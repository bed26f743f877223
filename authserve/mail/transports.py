"""The transports of mail: SMTP, a folder, or standard output; `MAIL_URL` selects one."""

import os
import sys
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import url2pathname

from authserve.mail.errors import TransportError
from authserve.mail.message import OutgoingMail
from authserve.mail.smtp import SMTPTransport
from authserve.settings.model import Settings


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
        if not (parent.is_dir() and os.access(parent, os.W_OK)):
            raise TransportError("the folder cannot be written", is_outage=True)


def _write_privately(path: Path, content: bytes) -> None:
    """Write a new file that only its owner can read, since mails hold links."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def make_transport(url: str, *, helo: str) -> Transport:
    """Return the transport for a `MAIL_URL` that the settings have checked.

    Args:
        helo: this client's name for SMTP servers (`helo_name`).
    """
    parts = urlsplit(url)
    if parts.scheme == "console":
        return ConsoleTransport()
    if parts.scheme == "file":
        return FileTransport(Path(url2pathname(parts.path)))
    is_implicit_tls = parts.scheme == "smtps"
    return SMTPTransport(
        host=parts.hostname or "localhost",
        port=parts.port or (465 if is_implicit_tls else 587 if _wants_starttls(parts) else 25),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password or ""),
        is_implicit_tls=is_implicit_tls,
        is_starttls=_wants_starttls(parts),
        helo=helo,
    )


def helo_name(settings: Settings) -> str:
    """Return the name for EHLO: `MAIL_HELO`, or the host of `PUBLIC_URL`.

    An IP address is written as a literal (RFC 5321 §4.1.3), a name in its ASCII form.
    """
    if settings.mail_helo:
        return settings.mail_helo
    host = urlsplit(settings.public_url).hostname or "localhost"
    try:
        address = ip_address(host)
    except ValueError:
        return host if host.isascii() else host.encode("idna").decode("ascii")
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"


def _wants_starttls(parts: SplitResult) -> bool:
    return parts.query == "tls=starttls"
