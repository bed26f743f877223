"""The SMTP transport, within bounded time.

The commands with addresses and credentials are written here: smtplib's own commands parse
addresses again (`email.utils.parseaddr`) and accept only ASCII credentials.
"""

import hmac
import re
import smtplib
import socket
import ssl
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import suppress

from authserve.core.deadline import (
    Deadline,
    TLSContext,
    connect,
    explain_connect_error,
    make_tls_context,
)
from authserve.mail.errors import TransportError
from authserve.mail.message import OutgoingMail

TOTAL_TIMEOUT_SECS = 10.0
"""Seconds for the whole conversation (chosen): limits a server that hangs or sends one byte a
second."""

QUIT_TIMEOUT_SECS = 1.0
"""Seconds for QUIT (chosen): the server has the mail by then, so a slow answer does not matter."""

NO_GREETING = (
    "the server does not greet: check host, port and firewalls; a port for TLS from the start, "
    "such as 465, needs smtps://"
)
NO_TLS = "the server speaks no TLS from the start: use smtp://…?tls=starttls, or another port"
"""Reasons that name the remedy; the column `last_error` holds 200 characters."""

MAX_REPLY_LENGTH = 120
"""Characters of a server's reply that are kept; the column `last_error` holds 200."""


class SMTPTransport:
    """A transport to an SMTP server, over TLS with a verified certificate if configured.

    Args:
        helo: this client's name in EHLO: a host name, or an address in brackets (RFC 5321
            §4.1.1.1).
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        username: str | None,
        password: str,
        is_implicit_tls: bool,
        is_starttls: bool,
        helo: str,
        tls: TLSContext | None = None,
        total_timeout_secs: float = TOTAL_TIMEOUT_SECS,
    ) -> None:
        self._host = host
        self._port = port
        self._username = username
        self._password = password
        self._is_implicit_tls = is_implicit_tls
        self._is_starttls = is_starttls
        self._helo = helo
        self._tls = tls or make_tls_context()
        self._total_timeout_secs = total_timeout_secs

    def send(self, mail: OutgoingMail) -> None:
        """Send the mail within the timeouts, or raise."""
        self._converse(lambda server: _hand_over(server, mail))

    def check(self) -> None:
        """Connect, with TLS and login as for a mail, and quit."""
        self._converse(_Client.send_quit)

    def _converse(self, action: Callable[["_Client"], None]) -> None:
        deadline = Deadline(self._total_timeout_secs)
        try:
            self._open(deadline, action)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            if deadline.has_passed:
                reason = f"the server took longer than {self._total_timeout_secs:g} s"
                raise TransportError(reason, is_outage=True) from error
            raise _transport_error(error) from error

    def _open(self, deadline: Deadline, action: Callable[["_Client"], None]) -> None:
        server = self._connect(deadline)
        try:
            if self._is_starttls:
                _start_tls(server, self._tls)
            server.ehlo_or_helo_if_needed()
            if self._username is not None:
                _sign_in(server, self._username, self._password)
            action(server)
        finally:
            server.close()

    def _connect(self, deadline: Deadline) -> "_Client":
        """Return a connection whose server has greeted.

        Raises:
            TransportError: it did not, as happens at a port of the other kind of TLS.
        """
        tls = self._tls if self._is_implicit_tls else None
        try:
            return _Client(self._host, self._port, deadline, tls, self._helo)
        except (smtplib.SMTPException, OSError) as error:
            if isinstance(error, TimeoutError) or deadline.has_passed:
                raise TransportError(NO_GREETING, is_outage=True) from error
            if type(error) is ssl.SSLError:
                raise TransportError(NO_TLS, is_outage=True) from error
            raise


def _start_tls(server: smtplib.SMTP, tls: TLSContext) -> None:
    server.ehlo_or_helo_if_needed()
    if not server.has_extn("starttls"):
        raise smtplib.SMTPNotSupportedError("STARTTLS")
    server.starttls(context=tls)


class _RefusedError(smtplib.SMTPResponseException):
    """Error for a step that the server refused.

    Args:
        step: `mail` or `recipient`.
        code, reply: the server's answer.
    """

    def __init__(self, step: str, code: int, reply: bytes) -> None:
        super().__init__(code, reply)
        self.step = step


def _hand_over(server: "_Client", mail: OutgoingMail) -> None:
    options = ""
    if not mail.recipient.isascii():
        if not server.has_extn("smtputf8"):
            # Any visitor can register such an address, so it must not count as an outage.
            reason = "the server takes no internationalised addresses"
            raise TransportError(reason, is_outage=False)
        options = " SMTPUTF8 BODY=8BITMIME"
        server.command_encoding = "utf-8"
    _require("mail", server.docmd("MAIL", f"FROM:<{mail.sender}>{options}"))
    _require("recipient", server.docmd("RCPT", f"TO:<{mail.recipient}>"))
    _require("mail", server.data(mail.content))
    server.send_quit()


def _require(step: str, answer: tuple[int, bytes]) -> None:
    code, reply = answer
    # 250: done; 251: will be forwarded (RFC 5321 §4.2.3). No other code is accepted, since a
    # truncated line can look like one.
    if code not in (250, 251):
        raise _RefusedError(step, code, reply)


def _sign_in(server: smtplib.SMTP, username: str, password: str) -> None:
    """Sign in with the first offered mechanism that works; credentials in UTF-8 (RFC 4616 §2)."""
    offered = server.esmtp_features.get("auth", "").upper().split()
    lacking = "login (AUTH) here; many offer it only with TLS"
    refusal: Exception = smtplib.SMTPNotSupportedError(lacking)
    for mechanism, authenticate in _AUTHENTICATIONS.items():
        if mechanism not in offered:
            continue
        code, reply = authenticate(server, username.encode(), password.encode())
        if code == 235:
            return
        refusal = smtplib.SMTPAuthenticationError(code, reply)
    raise refusal


def _plain(server: smtplib.SMTP, username: bytes, password: bytes) -> tuple[int, bytes]:
    credentials = b"\0".join((b"", username, password))
    return server.docmd("AUTH", f"PLAIN {_base64(credentials)}")


def _login(server: smtplib.SMTP, username: bytes, password: bytes) -> tuple[int, bytes]:
    answer = server.docmd("AUTH", "LOGIN")
    for value in (username, password):
        if answer[0] != 334:
            break
        answer = server.docmd(_base64(value))
    return answer


def _challenge_response(
    server: smtplib.SMTP, username: bytes, password: bytes
) -> tuple[int, bytes]:
    code, challenge = server.docmd("AUTH", "CRAM-MD5")
    if code != 334:
        return code, challenge
    mac = hmac.new(password, b64decode(challenge), "md5").hexdigest()
    return server.docmd(_base64(username + b" " + mac.encode()))


_AUTHENTICATIONS = {"PLAIN": _plain, "LOGIN": _login, "CRAM-MD5": _challenge_response}
"""AUTH mechanisms in order of preference. Production requires TLS for them, except on loopback."""


def _base64(value: bytes) -> str:
    return b64encode(value).decode("ascii")


def _transport_error(error: Exception) -> TransportError:
    """Return the error as a `TransportError`: an outage, or a fault of this mail."""
    if isinstance(error, _RefusedError):
        return _refusal(error)
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return TransportError(f"the server refused the login ({_quote(error)})", is_outage=True)
    if isinstance(error, smtplib.SMTPDataError):
        return _refusal(_RefusedError("mail", error.smtp_code, _as_bytes(error.smtp_error)))
    if isinstance(error, smtplib.SMTPResponseException) and error.smtp_code == -1:
        return TransportError(f"the server speaks no SMTP ({_quote(error)})", is_outage=True)
    if isinstance(error, smtplib.SMTPResponseException):
        return TransportError(
            f"the server refused the connection ({_quote(error)})", is_outage=True
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = f"the server's certificate is not good: {error.verify_message.rstrip('.')}"
        return TransportError(reason, is_outage=True)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return TransportError(f"the server offers no {error}", is_outage=True)
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return TransportError("the server closed the connection", is_outage=True)
    if fault := explain_connect_error(error):
        return TransportError(f"the server cannot be reached: {fault}", is_outage=True)
    reason = f"the server did not answer as it should ({type(error).__name__})"
    return TransportError(reason, is_outage=True)


LOGIN_REQUIRED = 530
"""Authentication required (RFC 4954 §6), or STARTTLS first (RFC 3207 §4)."""

POLICY_STATUS = b"5.7."
"""Enhanced status of security and policy (RFC 3463 §3.8), such as "relay access denied": it is
about this sender rather than the recipient, and the operator can change it."""


def _refusal(error: _RefusedError) -> TransportError:
    code = error.smtp_code
    if code == LOGIN_REQUIRED:
        reason = f"the server wants a login or TLS first ({_quote(error)}): check MAIL_URL"
        return TransportError(reason, is_outage=True)
    is_recipient = error.step == "recipient"
    is_policy = _as_bytes(error.smtp_error).startswith(POLICY_STATUS)
    return TransportError(
        f"the server refused the {error.step} ({_quote(error)})",
        # 421 ends the conversation (RFC 5321 §3.8); smtplib uses -1 for an unreadable reply.
        is_outage=code in (421, -1) if is_recipient else code < 500,
        is_permanent=is_recipient and 500 <= code < 600 and not is_policy,
    )


def _quote(error: smtplib.SMTPResponseException) -> str:
    """Return a server's code and text on one line, without addresses and link tokens."""
    text = " ".join(_as_bytes(error.smtp_error).decode(errors="replace").split())
    text = "".join(filter(str.isprintable, text))
    text = _FRAGMENT.sub("#(token)", _ADDRESS.sub("(address)", text))
    return f"{error.smtp_code} {text}".strip()[:MAX_REPLY_LENGTH]


_ADDRESS = re.compile(r"[^\s<>()]+@[^\s<>()]+")
_FRAGMENT = re.compile(r"#\S+")


def _as_bytes(reply: bytes | str) -> bytes:
    return reply.encode() if isinstance(reply, str) else reply


class _Client(smtplib.SMTP):
    """An smtplib client whose connection is under a deadline from the start."""

    def __init__(
        self, host: str, port: int, deadline: Deadline, tls: TLSContext | None, helo: str
    ) -> None:
        self._deadline = deadline
        self._implicit_tls = tls
        # Without a name, smtplib resolves this machine's through DNS, which may hang.
        super().__init__(host, port, local_hostname=helo)

    def _get_socket(self, host: str, port: int, _timeout: float) -> socket.socket:
        return connect(host, port, self._deadline, tls=self._implicit_tls)

    def send_quit(self) -> None:
        """Send QUIT and ignore errors: the server has the mail, so it must not be sent again."""
        self._deadline.shorten(QUIT_TIMEOUT_SECS)
        with suppress(smtplib.SMTPException, OSError):
            self.quit()
