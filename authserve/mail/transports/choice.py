"""Choosing the transport from `MAIL_URL`."""

from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import url2pathname

from authserve.mail.transports.base import Transport
from authserve.mail.transports.local import ConsoleTransport, FileTransport
from authserve.mail.transports.smtp import SMTPTransport
from authserve.settings.model import Settings


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
