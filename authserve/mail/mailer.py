"""Building mails from templates, and passing them to the transport."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
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
from authserve.core.container import Slot
from authserve.core.identifiers import is_plain_address
from authserve.core.ids import new_id
from authserve.core.languages import find_language, get_catalog, text_direction
from authserve.mail.branding import make_mail_colors, read_logo
from authserve.mail.errors import TransportError
from authserve.mail.message import InlinePNG, OutgoingMail, read_sender, write_mail
from authserve.mail.policy import (
    LINK_KINDS,
    SAMPLE_VALUES,
    MailKind,
    Values,
    check_values,
)
from authserve.mail.transports import Transport
from authserve.outbox.errors import DeliveryError
from authserve.settings.model import Settings, brand_name

OWN_TEMPLATES = Path(__file__).parent / "templates"

SAMPLE_LIFETIME = timedelta(minutes=30)
SAMPLE_NAME = "Alice"
"""Values with which an example of a mail is rendered."""

BREAKER_FAILURES = 5
BREAKER_RESET_SECS = 30.0
"""Outages in a row that open the breaker, and seconds until it lets one try through (chosen). Mail
is sent well within two minutes of recovery, and a restarted server is not flooded."""


class Mailer:
    """A builder and sender of mails, one at a time.

    Args:
        settings: the sender, the brand and the public URL.
        transport: sends the finished mail.
    """

    def __init__(self, settings: Settings, transport: Transport) -> None:
        self._sender = read_sender(settings.mail_from)
        self._public_url = settings.public_url
        self._logo = read_logo(settings.brand_logo)
        self._common: Mapping[str, object] = {
            "brand": brand_name(settings),
            "service": urlsplit(settings.public_url).hostname or "localhost",
            "public_url": settings.public_url,
            "support_url": settings.brand_support_url,
            "colors": make_mail_colors(settings.brand_color),
            "logo": self._logo,
        }
        self._transport = transport
        self._own_folder = settings.mail_templates
        self._languages = settings.languages
        self._default_language = settings.default_language
        self.breaker = Breaker("smtp", failures=BREAKER_FAILURES, reset_secs=BREAKER_RESET_SECS)

    @property
    def is_ready(self) -> bool:
        """True unless the circuit breaker is open, so sending makes sense."""
        return not self.breaker.is_open

    def check(self) -> None:
        """Raise unless mail could be sent now; send none.

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
        locales: Iterable[str | None] = (),
        name: str = "",
        link: str | None = None,
        lifetime: timedelta | None = None,
        values: Values | None = None,
    ) -> None:
        """Build a mail and send it.

        Args:
            kind: selects the templates.
            to: the stored address, in canonical form.
            message_id: the same for every try, so that a repeated mail can be recognised.
            locales: the languages that the reader may want, the best first; the first that is
                offered is taken, else `DEFAULT_LANGUAGE`.
            name: the recipient's name, made safe for a mail by `policy.plain_name`.
            link: the one-time link, for the kinds that carry one (`policy.LINK_KINDS`).
            lifetime: how long the link lasts.
            values: further values for this kind's templates (`policy.SAMPLE_VALUES`).

        Raises:
            DeliveryError: it was not sent; if `is_permanent`, more tries are unlikely to help.
        """
        if not is_plain_address(to):
            # Older releases stored addresses that are refused now.
            raise DeliveryError("the address cannot be written to", is_permanent=True)
        mail = self._build(
            kind,
            to=to,
            message_id=message_id,
            language=self._choose_language(locales),
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

    def _choose_language(self, locales: Iterable[str | None]) -> str:
        wanted = [locale for locale in locales if locale]
        return find_language(wanted, self._languages) or self._default_language

    def send_sample(self, kind: MailKind, *, to: str) -> None:
        """Send one example mail at once, ignoring the breaker.

        Its link contains no valid token.

        Args:
            to: a plain address.

        Raises:
            TransportError: it was not sent.
            jinja2.TemplateError: a template is faulty.
        """
        mail = self._build_sample(kind, to=to, language=self._default_language)
        self._transport.send(mail)

    def find_template_faults(self) -> Iterator[str]:
        """Render every mail as an example in every language; yield kind and error of each fault."""
        for kind in MailKind:
            faults = (self._find_fault(kind, language) for language in self._languages)
            # A template without texts of ours has the same fault in every language.
            fault = next((fault for fault in faults if fault is not None), None)
            if fault is not None:
                yield f"{kind}: {fault}"

    def _find_fault(self, kind: MailKind, language: str) -> str | None:
        try:
            self._build_sample(kind, to="alice@example.com", language=language)
        except (TemplateError, ArithmeticError, TypeError, ValueError, OSError) as error:
            return str(error) or type(error).__name__
        return None

    def _build_sample(self, kind: MailKind, *, to: str, language: str) -> OutgoingMail:
        link = f"{self._public_url}/reset-password#{'x' * 64}"
        return self._build(
            kind,
            to=to,
            message_id=new_id(),
            language=language,
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
        language: str,
        name: str,
        link: str | None,
        lifetime: timedelta | None,
        values: Values,
    ) -> OutgoingMail:
        check_values(kind, values)
        logo_id = f"logo.{message_id}@{self._sender.domain}"
        known = {
            **self._common,
            **values,
            "language": language,
            "direction": text_direction(language),
            "name": name,
            "link": link,
            "lifetime_minutes": None if lifetime is None else lifetime // timedelta(minutes=1),
            "logo_url": f"cid:{logo_id}",
        }
        subject = self._render(kind, "subject.txt", known)
        known["subject"] = subject.strip()
        html = self._render(kind, "html", known)
        images = [InlinePNG(logo_id, self._logo.content)] if self._logo is not None else []
        return write_mail(
            sender=self._sender,
            recipient=to,
            message_id=message_id,
            sent_at=now(),
            subject=subject,
            text=self._render(kind, "txt", known),
            html=html,
            # A deployment's own template may show no logo.
            images=[image for image in images if image.content_id in html],
        )

    def _render(self, kind: MailKind, part: str, values: Mapping[str, object]) -> str:
        """Render a part of a mail; a deployment may have a template for a language."""
        language = str(values["language"])
        templates = _environment(self._own_folder, language)
        names = [f"{kind}.{language}.{part}", f"{kind}.{part}"]
        return templates.select_template(names).render(values)


@cache
def _environment(own_folder: Path | None, language: str) -> Environment:
    """Return an environment that prefers the deployment's templates to ours and escapes HTML."""
    folders = [folder for folder in (own_folder, OWN_TEMPLATES) if folder is not None]
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(folder) for folder in folders]),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.install_gettext_translations(  # type: ignore[attr-defined]
        get_catalog(language), newstyle=True
    )
    return environment


MAILER = Slot[Mailer]("mailer")
