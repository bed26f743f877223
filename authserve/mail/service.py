"""Building mails from templates, and handing them to the transport."""

from datetime import timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit
from uuid import UUID

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined, select_autoescape

from authserve.core.breakers import Breaker, BreakerOpenError
from authserve.core.clock import now
from authserve.core.registry import component
from authserve.core.settings import Settings
from authserve.mail.policy import MailKind, plain_name
from authserve.mail.transports import Transport, TransportError
from authserve.outbox.errors import DeliveryError

__all__ = ["MailKind", "plain_name"]

OWN_TEMPLATES = Path(__file__).parent / "templates"

POLICY = EmailPolicy(cte_type="7bit")
"""Whatever the words, only ASCII is sent: not every server says 8BITMIME (RFC 6152)."""

BREAKER_FAILURES = 5
BREAKER_RESET_SECS = 30.0
"""Five outages in a row, then one try in 30 s: mail is out well within two minutes of recovery,
and a server that comes up is not met by everything at once (chosen)."""


class Mailer:
    """Builds mails and sends them, one at a time.

    Args:
        settings: who sends, and from where links lead.
        transport: how mail leaves.
    """

    def __init__(self, settings: Settings, transport: Transport) -> None:
        self._from = _sender(settings.mail_from)
        self._host = urlsplit(settings.public_url).hostname or "localhost"
        self._public_url = settings.public_url
        self._transport = transport
        self._templates = _environment(settings.mail_templates)
        self.breaker = Breaker("smtp", failures=BREAKER_FAILURES, reset_secs=BREAKER_RESET_SECS)

    @property
    def is_ready(self) -> bool:
        """Whether it makes sense to send now."""
        return not self.breaker.is_open

    def check(self) -> None:
        """Find out whether mail could leave now, without sending any.

        Raises:
            TransportError: it could not; the reason names no address and no secret.
        """
        self._transport.check()

    def send(
        self,
        kind: MailKind,
        *,
        to: str,
        message_id: UUID,
        name: str = "",
        link: str | None = None,
        lifetime: timedelta | None = None,
    ) -> None:
        """Build the mail and hand it over.

        Args:
            kind: which one.
            to: the stored address, in canonical form.
            message_id: the same for every try, so that a repeated mail can be told.
            name: of the reader, fit for a mail (`policy.plain_name`).
            link: what the mail is for, if it asks for something.
            lifetime: of the link.

        Raises:
            DeliveryError: it did not leave; try again later.
        """
        message = self._build(
            kind, to=to, message_id=message_id, name=name, link=link, lifetime=lifetime
        )
        try:
            self.breaker.call(
                lambda: self._transport.send(message, to=to),
                is_failure=lambda error: isinstance(error, TransportError) and error.is_outage,
            )
        except BreakerOpenError as error:
            raise DeliveryError("the mail server was away a moment ago") from error
        except TransportError as error:
            raise DeliveryError(error.reason) from error

    def _build(
        self,
        kind: MailKind,
        *,
        to: str,
        message_id: UUID,
        name: str,
        link: str | None,
        lifetime: timedelta | None,
    ) -> EmailMessage:
        values = {
            "name": name,
            "link": link,
            "lifetime": _in_words(lifetime) if lifetime else None,
            "service": self._host,
            "public_url": self._public_url,
        }
        message = EmailMessage(POLICY)
        message["Subject"] = " ".join(self._render(f"{kind}.subject.txt", values).split())
        message["From"] = self._from
        message["To"] = _mailbox(to)
        message["Date"] = format_datetime(now())
        message["Message-ID"] = f"<{message_id}@{self._from.domain}>"
        # RFC 3834 §5: nobody's out-of-office should answer.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(self._render(f"{kind}.txt", values))
        message.add_alternative(self._render(f"{kind}.html", values), subtype="html")
        return message

    def _render(self, name: str, values: dict[str, str | None]) -> str:
        return self._templates.get_template(name).render(values)


def _environment(own_folder: Path | None) -> Environment:
    """Templates of the deployment first, ours where it has none; HTML is escaped."""
    folders = [folder for folder in (own_folder, OWN_TEMPLATES) if folder is not None]
    return Environment(
        loader=ChoiceLoader([FileSystemLoader(folder) for folder in folders]),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )


def _sender(text: str) -> Address:
    """The sender as the settings tell it, with a name or without."""
    display_name, address = parseaddr(text)
    return _mailbox(address, display_name)


def _mailbox(address: str, display_name: str = "") -> Address:
    """A header value that quotes whatever needs it."""
    user, _, domain = address.rpartition("@")
    return Address(display_name, user, domain)


def _in_words(lifetime: timedelta) -> str:
    minutes = int(lifetime.total_seconds()) // 60
    for unit, size in (("day", 1440), ("hour", 60), ("minute", 1)):
        count = minutes // size
        if count and minutes % size == 0:
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return f"{minutes} minutes"


MAILER_EXTENSION = "authserve.mailer"


def get_mailer() -> Mailer:
    """The mailer of the running application."""
    return cast(Mailer, component(MAILER_EXTENSION))
