"""How mail leaves: SMTP, a folder, or the log."""

import logging
import os
import smtplib
import socket
import ssl
import threading
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_SECS = 5.0
TOTAL_TIMEOUT_SECS = 10.0
"""`security.md`, SMTP: a server that hangs, or answers a letter a second, is given up by then."""


class TransportError(Exception):
    """A mail did not leave.

    Args:
        reason: for the operator; it names no address and no secret.
        is_outage: whether it says something of the server rather than of this mail.
    """

    def __init__(self, reason: str, *, is_outage: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_outage = is_outage


class Transport(Protocol):
    """Hands a mail on."""

    def send(self, message: EmailMessage, *, to: str) -> None:
        """Hand `message` on for the address `to`.

        Raises:
            TransportError: it did not leave, as far as can be told.
        """


def make_transport(url: str) -> Transport:
    """The transport of a `MAIL_URL`, which the settings have checked."""
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
    )


def _wants_starttls(parts: Any) -> bool:
    return "tls=starttls" in parts.query.split("&")


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
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = self._folder / f".{name}.{os.getpid()}"
            partial.write_bytes(message.as_bytes(policy=SMTP))
            partial.replace(self._folder / f"{name}.eml")
        except OSError as error:
            reason = f"the folder cannot be written: {error.strerror}"
            raise TransportError(reason, is_outage=True) from error


class SMTPTransport:
    """Hands mail to an SMTP server, over TLS with a verified certificate where asked for."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        username: str | None,
        password: str,
        is_implicit_tls: bool,
        is_starttls: bool,
        tls: ssl.SSLContext | None = None,
        total_timeout_secs: float = TOTAL_TIMEOUT_SECS,
    ) -> None:
        self._host = host
        self._port = port
        self._username = username
        self._password = password
        self._is_implicit_tls = is_implicit_tls
        self._is_starttls = is_starttls
        # The default context checks the chain and the name, and speaks TLS 1.2 or later.
        self._tls = tls or ssl.create_default_context()
        self._total_timeout_secs = total_timeout_secs

    def send(self, message: EmailMessage, *, to: str) -> None:
        """Hand the mail over within the timeouts, or raise."""
        try:
            self._send(message, to)
        except smtplib.SMTPRecipientsRefused as error:
            code = next(iter(error.recipients.values()))[0]
            reason = f"the server refused the recipient ({code})"
            raise TransportError(reason, is_outage=False) from error
        except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
            reason = f"the server refused the mail ({error.smtp_code})"
            raise TransportError(reason, is_outage=error.smtp_code < 500) from error
        except smtplib.SMTPAuthenticationError as error:
            raise TransportError("the server refused the login", is_outage=True) from error
        except (smtplib.SMTPException, OSError, ValueError) as error:
            reason = f"the server did not answer as it should ({type(error).__name__})"
            raise TransportError(reason, is_outage=True) from error

    def _send(self, message: EmailMessage, to: str) -> None:
        with self._connect() as server, _Deadline(server, self._total_timeout_secs):
            if self._is_starttls:
                server.starttls(context=self._tls)
            if self._username is not None:
                server.login(self._username, self._password)
            server.send_message(message, to_addrs=[to])

    def _connect(self) -> smtplib.SMTP:
        if self._is_implicit_tls:
            return smtplib.SMTP_SSL(
                self._host, self._port, timeout=CONNECT_TIMEOUT_SECS, context=self._tls
            )
        return smtplib.SMTP(self._host, self._port, timeout=CONNECT_TIMEOUT_SECS)


class _Deadline:
    """Ends a conversation that takes too long as a whole, by shutting its socket.

    A socket's own timeout begins anew with every byte, so a server that sends one a second could
    hold the worker for ever.
    """

    def __init__(self, server: smtplib.SMTP, seconds: float) -> None:
        self._server = server
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_error: object) -> None:
        self._timer.cancel()

    def _shut(self) -> None:
        found = self._server.sock
        if found is not None:
            try:
                found.shutdown(socket.SHUT_RDWR)
            except OSError:
                logger.debug("the connection had ended by itself")
