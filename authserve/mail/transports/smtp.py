"""Mail by SMTP, within bounded time."""

import smtplib
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from email.message import EmailMessage
from threading import Lock, Timer
from types import TracebackType

from authserve.mail.transports.base import TransportError

CONNECT_TIMEOUT_SECS = 5.0
TOTAL_TIMEOUT_SECS = 10.0
"""Chosen: a server that hangs, or answers a letter a second, is given up by then."""

QUIT_TIMEOUT_SECS = 1.0
"""The mail is handed over by then; to part politely is worth no more (chosen)."""


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
        self._converse(lambda server: _hand_over(server, message, to))

    def check(self) -> None:
        """Connect, with TLS and login as for a mail, and part again."""
        self._converse(_part)

    def _converse(self, action: Callable[["_Client"], None]) -> None:
        with _Deadline(self._total_timeout_secs) as deadline:
            try:
                self._open(deadline, action)
            except TransportError:
                raise
            except (smtplib.SMTPException, OSError, ValueError) as error:
                if deadline.has_passed:
                    reason = f"the server took longer than {self._total_timeout_secs:g} s"
                    raise TransportError(reason, is_outage=True) from error
                raise _judge(error) from error

    def _open(self, deadline: "_Deadline", action: Callable[["_Client"], None]) -> None:
        tls = self._tls if self._is_implicit_tls else None
        server = _Client(self._host, self._port, deadline, tls)
        try:
            if self._is_starttls:
                server.starttls(context=self._tls)
            if self._username is not None:
                server.login(self._username, self._password)
            server.ehlo_or_helo_if_needed()
            action(server)
        finally:
            server.close()


def _hand_over(server: smtplib.SMTP, message: EmailMessage, to: str) -> None:
    if not (to.isascii() or server.has_extn("smtputf8")):
        # Anybody can register such an address, so it must not count as an outage.
        reason = "the server takes no internationalised addresses"
        raise TransportError(reason, is_outage=False)
    server.send_message(message, to_addrs=[to])
    _part(server)


def _part(server: smtplib.SMTP) -> None:
    """Say goodbye; whatever comes of it, the mail has left, and must not be sent again."""
    with suppress(smtplib.SMTPException, OSError):
        if server.sock is not None:
            server.sock.settimeout(QUIT_TIMEOUT_SECS)
        server.quit()


def _judge(error: Exception) -> TransportError:
    """What an error says, and whether it says so of the server or of this mail alone."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code = next(iter(error.recipients.values()))[0]
        return TransportError(f"the server refused the recipient ({code})", is_outage=_is_end(code))
    if isinstance(error, smtplib.SMTPSenderRefused | smtplib.SMTPDataError):
        code = error.smtp_code
        return TransportError(f"the server refused the mail ({code})", is_outage=code < 500)
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return TransportError(f"the server refused the login ({error.smtp_code})", is_outage=True)
    if isinstance(error, smtplib.SMTPResponseException):
        return TransportError(f"the server refused to talk ({error.smtp_code})", is_outage=True)
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = f"the server's certificate is not good: {error.verify_message}"
        return TransportError(reason, is_outage=True)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return TransportError("the server lacks STARTTLS or AUTH", is_outage=True)
    reason = f"the server did not answer as it should ({type(error).__name__})"
    return TransportError(reason, is_outage=True)


def _is_end(code: int) -> bool:
    """Whether a reply ends the conversation: 421 (RFC 5321 §3.8), or none that can be read (-1)."""
    return code in (421, -1)


class _Deadline:
    """Ends a conversation that takes too long as a whole, by shutting its connection.

    A socket's own timeout begins anew with every byte, so a server that sends one a second could
    hold the worker for ever.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends_at = time.monotonic() + seconds
        self._lock = Lock()
        self._watched: socket.socket | None = None
        self._timer = Timer(seconds, self._shut)
        self._timer.daemon = True

    def __enter__(self) -> "_Deadline":
        self._timer.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        with self._lock:
            if self._watched is not None:
                self._watched.close()
                self._watched = None

    @property
    def has_passed(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._ends_at

    def connect(self, host: str, port: int) -> socket.socket:
        """A connection to the first address that answers; it ends with the deadline."""
        failure = OSError("the name has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        ):
            found = socket.socket(family, kind, protocol)
            try:
                found.settimeout(min(CONNECT_TIMEOUT_SECS, self._remaining_secs()))
                found.connect(address)
                found.settimeout(self._seconds)
                self._watch(found)
            except OSError as error:
                found.close()
                failure = error
            else:
                return found
        raise failure

    def _remaining_secs(self) -> float:
        seconds = self._ends_at - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds

    def _watch(self, connection: socket.socket) -> None:
        with self._lock:
            if self.has_passed:
                raise TimeoutError
            # TLS takes the socket over, but not this second handle of the same connection.
            self._watched = connection.dup()

    def _shut(self) -> None:
        with self._lock:
            if self._watched is not None:
                # It may have ended by itself.
                with suppress(OSError):
                    self._watched.shutdown(socket.SHUT_RDWR)


class _Client(smtplib.SMTP):
    """smtplib's client, whose connection a deadline watches from its first moment on."""

    def __init__(
        self, host: str, port: int, deadline: _Deadline, tls: ssl.SSLContext | None
    ) -> None:
        self._deadline = deadline
        self._implicit_tls = tls
        super().__init__(host, port, local_hostname=_own_name())

    def _get_socket(self, host: str, port: int, _timeout: float) -> socket.socket:
        connection = self._deadline.connect(host, port)
        if self._implicit_tls is None:
            return connection
        return self._implicit_tls.wrap_socket(connection, server_hostname=host)


def _own_name() -> str:
    """What to say in EHLO (RFC 5321 §4.1.1.1). smtplib's own way asks the DNS, which may hang."""
    name = socket.gethostname()
    return name if "." in name and name.isascii() else "[127.0.0.1]"
