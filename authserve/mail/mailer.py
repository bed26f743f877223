"""Building mails from templates, and handing them to the transport."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit
from uuid import UUID

from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateError,
    select_autoescape,
)

from authserve.core.breakers import Breaker, BreakerOpenError
from authserve.core.clock import now
from authserve.core.container import component
from authserve.core.identifiers import is_plain_address
from authserve.core.ids import new_id
from authserve.mail.message import OutgoingMail, read_sender, write_mail
from authserve.mail.policy import (
    LINK_KINDS,
    SAMPLE_VALUES,
    MailKind,
    Values,
    check_values,
    plain_name,
)
from authserve.mail.transports import Transport, TransportError
from authserve.outbox.errors import DeliveryError
from authserve.settings.brand import brand_name
from authserve.settings.model import Settings

__all__ = ["MailKind", "Values", "plain_name"]

OWN_TEMPLATES = Path(__file__).parent / "templates"

SAMPLE_LIFETIME = timedelta(minutes=30)
SAMPLE_NAME = "Alice"
"""What a sample of a mail is rendered with."""

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
        self._sender = read_sender(settings.mail_from)
        self._brand = brand_name(settings)
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
        values: Values | None = None,
    ) -> None:
        """Build the mail and hand it over.

        Args:
            kind: which one.
            to: the stored address, in canonical form.
            message_id: the same for every try, so that a repeated mail can be recognised.
            name: of the reader, fit for a mail (`policy.plain_name`).
            link: what the mail is for, if it asks for something.
            lifetime: of the link.
            values: what this kind's templates get besides (`policy.SAMPLE_VALUES`).

        Raises:
            DeliveryError: it did not leave; try again later, or never if `is_permanent`.
        """
        if not is_plain_address(to):
            # Older releases accepted more.
            raise DeliveryError("the address cannot be written to", is_permanent=True)
        mail = self._build(
            kind,
            to=to,
            message_id=message_id,
            name=name,
            link=link,
            lifetime=lifetime,
            values=values or {},
        )
        try:
            self.breaker.call(
                lambda: self._transport.send(mail),
                is_failure=lambda error: isinstance(error, TransportError) and error.is_outage,
            )
        except BreakerOpenError as error:
            raise DeliveryError("the mail server was away a moment ago") from error
        except TransportError as error:
            raise DeliveryError(error.reason, is_permanent=error.is_permanent) from error

    def send_sample(self, kind: MailKind, *, to: str) -> None:
        """Send one mail as an example, at once and past the breaker.

        Its link leads nowhere.

        Args:
            to: a plain address.

        Raises:
            TransportError: it did not leave.
            jinja2.TemplateError: a template is at fault.
        """
        self._transport.send(self._build_sample(kind, to=to))

    def find_template_faults(self) -> Iterator[str]:
        """Render every mail as an example; yield a sentence about each that fails."""
        for kind in MailKind:
            try:
                self._build_sample(kind, to="alice@example.com")
            except (TemplateError, ArithmeticError, TypeError, ValueError, OSError) as error:
                yield f"{kind}: {error or type(error).__name__}"

    def _build_sample(self, kind: MailKind, *, to: str) -> OutgoingMail:
        link = f"{self._public_url}/reset-password#{'x' * 64}"
        return self._build(
            kind,
            to=to,
            message_id=new_id(),
            name=SAMPLE_NAME,
            link=link if kind in LINK_KINDS else None,
            lifetime=SAMPLE_LIFETIME if kind in LINK_KINDS else None,
            values=SAMPLE_VALUES.get(kind, {}),
        )

    def _build(
        self,
        kind: MailKind,
        *,
        to: str,
        message_id: UUID,
        name: str,
        link: str | None,
        lifetime: timedelta | None,
        values: Values,
    ) -> OutgoingMail:
        check_values(kind, values)
        known = {
            **values,
            "name": name,
            "link": link,
            "lifetime_minutes": None if lifetime is None else lifetime // timedelta(minutes=1),
            "brand": self._brand,
            "service": self._host,
            "public_url": self._public_url,
        }
        subject = self._render(f"{kind}.subject.txt", known)
        known["subject"] = subject.strip()
        return write_mail(
            sender=self._sender,
            recipient=to,
            message_id=message_id,
            sent_at=now(),
            subject=subject,
            text=self._render(f"{kind}.txt", known),
            html=self._render(f"{kind}.html", known),
        )

    def _render(self, name: str, values: Mapping[str, str | int | None]) -> str:
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


MAILER_EXTENSION = "authserve.mailer"


def get_mailer() -> Mailer:
    """The mailer of the running application."""
    return cast(Mailer, component(MAILER_EXTENSION))
