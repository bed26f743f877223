"""Which transport a `MAIL_URL` means."""

from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import url2pathname

from authserve.mail.transports.base import Transport
from authserve.mail.transports.local import ConsoleTransport, FileTransport
from authserve.mail.transports.smtp import SMTPTransport


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


def _wants_starttls(parts: SplitResult) -> bool:
    return parts.query == "tls=starttls"
