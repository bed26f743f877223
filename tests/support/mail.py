"""Delivery of the outbox in a test, and the mail that arrives."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from functools import cached_property
from uuid import UUID

from flask import Flask

from authserve.mail.mailer import MAILER, Mailer
from authserve.mail.message import OutgoingMail, Sender, write_mail
from authserve.outbox.worker import MESSAGE_HANDLERS, Worker
from authserve.settings.model import SETTINGS
from tests.support.secrecy import SECRETS


@dataclass(frozen=True)
class Letter:
    """A mail that arrived."""

    to: str
    content: bytes

    @cached_property
    def message(self) -> EmailMessage:
        """The mail, as the other side reads it."""
        found = message_from_bytes(self.content, policy=default)
        assert isinstance(found, EmailMessage)
        return found

    @property
    def subject(self) -> str:
        """The subject."""
        return str(self.message["Subject"])

    @property
    def text(self) -> str:
        """The plain text."""
        body = self.message.get_body(("plain",))
        assert body is not None
        return str(body.get_content())

    @property
    def html(self) -> str:
        """The HTML."""
        body = self.message.get_body(("html",))
        assert body is not None
        return str(body.get_content())

    @property
    def link(self) -> str:
        """The link that the mail is for."""
        return next(word for word in self.text.split() if word.startswith("http"))

    @property
    def token(self) -> str:
        """The token in the link's fragment."""
        return self.link.partition("#")[2]

    @property
    def code(self) -> str:
        """The code that the mail is for."""
        return next(word for word in self.text.split() if re.fullmatch("[0-9]{8}", word))


class Mailbox:
    """A transport that keeps every mail, to any address."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []

    def send(self, mail: OutgoingMail) -> None:
        """Keep a mail."""
        letter = Letter(mail.recipient, mail.content)
        self.letters.append(letter)
        for word in letter.text.split():
            SECRETS.note(word.partition("#")[2])

    def check(self) -> None:
        """It can always be written to."""

    def to(self, address: str) -> list[Letter]:
        """Return the letters to an address, oldest first."""
        return [letter for letter in self.letters if letter.to == address]


def write_letter(
    to: str = "alice@example.com", *, number: int = 1, text: str = "Good day."
) -> OutgoingMail:
    """Write a small mail from `no-reply@example.com`."""
    return write_mail(
        sender=Sender("no-reply@example.com", "authserve"),
        recipient=to,
        message_id=UUID(int=number),
        sent_at=datetime(2030, 1, 1, tzinfo=UTC),
        subject="Hello",
        text=text,
        html=f"<p>{text}</p>",
    )


def open_mailbox(app: Flask) -> Mailbox:
    """Let all mail of `app` arrive in a mailbox."""
    mailbox = Mailbox()
    MAILER.fill(app, Mailer(SETTINGS.of(app), mailbox))
    return mailbox


def work(app: Flask) -> None:
    """Deliver everything that is due now, as the worker does."""
    worker = Worker(dict(MESSAGE_HANDLERS.of(app)), (), context=app.app_context)
    with app.app_context():
        while worker.deliver_one():
            pass
