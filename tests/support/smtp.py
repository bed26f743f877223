"""Mail servers on a loopback port: one that works, and one that fails at a chosen stage."""

import asyncio
import binascii
import socket
import ssl
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from threading import Event
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from tests.support.crowd import DEADLINE_SECS
from tests.support.ports import reserve_port

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Arrival:
    """A mail that a server took."""

    sender: str
    to: str
    options: list[str]
    content: bytes
    helo: str

    @property
    def message(self) -> EmailMessage:
        """The mail, parsed."""
        message = message_from_bytes(self.content, policy=default)
        assert isinstance(message, EmailMessage)
        return message

    @property
    def id(self) -> str:
        """Its Message-ID."""
        return str(self.message["Message-ID"])


@dataclass
class MailServer:
    """aiosmtpd, in a thread of its own; `close()` and `open()` keep the port.

    Args:
        users: names and passwords; if there are any, every client must sign in.
    """

    tls: ssl.SSLContext | None = None
    starttls: ssl.SSLContext | None = None
    users: dict[str, str] = field(default_factory=dict)
    is_utf8: bool = True
    without_auth: Collection[str] = ()
    """Ways to sign in that are not offered."""
    arrivals: list[Arrival] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    """Answers to MAIL, RCPT or DATA instead of success."""
    hang: Event = field(default_factory=Event)
    """While it is set, no mail is taken, and DATA gets no answer."""
    hold: Event = field(default_factory=Event)
    """While it is set, mail is taken, but DATA gets no answer."""
    asked: Event = field(default_factory=Event)
    """Set as soon as a client sends DATA."""

    def __post_init__(self) -> None:
        self._reservation = reserve_port()
        self.port: int = self._reservation.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: asyncio.Server | None = None
        self._clients: set[SMTP] = set()
        self.open()

    @property
    def url(self) -> str:
        """The `MAIL_URL` of this server without TLS."""
        return f"smtp://{HOST}:{self.port}"

    def open(self) -> None:
        """Listen (again)."""
        self._server = self._run(self._listen())

    async def _listen(self) -> asyncio.Server:
        return await self._loop.create_server(self._talk, HOST, self.port, ssl=self.tls)

    def _talk(self) -> SMTP:
        client = SMTP(
            self,
            hostname="mail.example",
            enable_SMTPUTF8=self.is_utf8,
            tls_context=self.starttls,
            require_starttls=self.starttls is not None,
            authenticator=self._authenticate if self.users else None,
            auth_require_tls=False,
            auth_exclude_mechanism=self.without_auth,
            loop=self._loop,
        )
        self._clients.add(client)
        return client

    def close(self) -> None:
        """Refuse connections, and end open ones."""

        async def end() -> None:
            for client in self._clients:
                if client.transport is not None:
                    client.transport.abort()
            self._clients.clear()
            if self._server is not None:
                self._server.close()

        self._run(end())

    def stop(self) -> None:
        """Close for good."""
        self.hang.clear()
        self.hold.clear()
        self.close()
        self._run(self._finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._reservation.close()

    async def _finish(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(DEADLINE_SECS)

    def _authenticate(
        self, _server: Any, _session: Any, _envelope: Any, _how: Any, data: Any
    ) -> Any:
        name, password = data.login.decode(), data.password.decode()
        return AuthResult(success=self.users.get(name) == password, handled=False)

    async def handle_MAIL(
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.users and not session.authenticated:
            return "530 sign in first"
        if "MAIL" in self.answers:
            return self.answers["MAIL"]
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        if "RCPT" in self.answers:
            return self.answers["RCPT"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:
        self.asked.set()
        while self.hang.is_set():
            await asyncio.sleep(0.01)
        if "DATA" in self.answers:
            return self.answers["DATA"]
        for to in envelope.rcpt_tos:
            arrival = Arrival(
                envelope.mail_from or "",
                to,
                envelope.mail_options,
                envelope.original_content or b"",
                str(session.host_name),
            )
            self.arrivals.append(arrival)
        while self.hold.is_set():
            await asyncio.sleep(0.01)
        return "250 OK"


@contextmanager
def mail_server(**options: Any) -> Iterator[MailServer]:
    """A mail server that works."""
    server = MailServer(**options)
    try:
        yield server
    finally:
        server.stop()


STAGES = ("banner", "EHLO", "MAIL", "RCPT", "DATA", "body", "QUIT")

_GOOD = {
    "banner": b"220 mail.example",
    "EHLO": b"250 mail.example",
    "MAIL": b"250 OK",
    "RCPT": b"250 OK",
    "DATA": b"354 go on",
    "body": b"250 taken",
    "QUIT": b"221 bye",
}

HANG = b"hang"
DROP = b"drop"
DRIBBLE = b"dribble"
"""Faults instead of an answer: silence, a closed connection, or one byte at a time."""

DRIBBLE_PAUSE_SECS = 0.1


class FaultyServer:
    """An SMTP server, line by line, with a fault at one stage.

    Args:
        stage: one of `STAGES`.
        fault: an answer, such as `b"451 later"`, or one of `HANG`, `DROP` and `DRIBBLE`.
    """

    def __init__(self, stage: str, fault: bytes) -> None:
        self._answers = {**_GOOD, stage: fault}
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._is_over = Event()
        self.digest = b""
        """The answer to a challenge."""
        self.taken = 0
        """Mails whose body came to an end."""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def offer_starttls(self) -> None:
        """Offer STARTTLS; the bytes after it get the answer to RCPT."""
        self._answers["STARTTLS"] = b"220 go on"
        self._answers["EHLO"] = b"250-mail.example\r\n250 STARTTLS"

    def offer_cram_md5(self, challenge: bytes) -> None:
        """Offer CRAM-MD5 as the only way to sign in, and take any answer."""
        self._answers["EHLO"] = b"250-mail.example\r\n250 AUTH CRAM-MD5"
        self._answers["AUTH"] = b"334 " + binascii.b2a_base64(challenge, newline=False)

    def stop(self) -> None:
        """End, also with open connections."""
        self._is_over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while not self._is_over.is_set():
                connection, _ = self._listener.accept()
                with connection, suppress(OSError):
                    self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as lines:
            self._say(connection, "banner")
            for line in lines:
                stage = line.strip().decode(errors="replace").upper().partition(" ")[0]
                stage = "EHLO" if stage == "HELO" else stage
                self._say(connection, stage if stage in self._answers else "RCPT")
                if stage == "AUTH":
                    self.digest = binascii.a2b_base64(lines.readline())
                    connection.sendall(b"235 OK\r\n")
                if stage == "DATA" and self._answers["DATA"].startswith(b"354"):
                    while lines.readline() not in (b".\r\n", b""):
                        pass
                    self.taken += 1
                    self._say(connection, "body")

    def _say(self, connection: socket.socket, stage: str) -> None:
        answer = self._answers[stage]
        if answer == DROP:
            raise OSError
        if answer == HANG:
            connection.settimeout(0.02)
            while not self._is_over.is_set():
                self._wait_for_end(connection)
        elif answer == DRIBBLE:
            while not self._is_over.is_set():
                connection.sendall(b"2")
                time.sleep(DRIBBLE_PAUSE_SECS)
        else:
            connection.sendall(answer + b"\r\n")

    def _wait_for_end(self, connection: socket.socket) -> None:
        with suppress(TimeoutError):
            if not connection.recv(1024):
                raise OSError


@contextmanager
def faulty_server(stage: str, fault: bytes) -> Iterator[FaultyServer]:
    """A mail server that fails at one stage of every conversation."""
    server = FaultyServer(stage, fault)
    try:
        yield server
    finally:
        server.stop()
