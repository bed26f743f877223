"""The transports of mail: SMTP, a folder, or standard output."""

from authserve.mail.transports.base import Transport, TransportError
from authserve.mail.transports.choice import helo_name, make_transport
from authserve.mail.transports.local import ConsoleTransport, FileTransport
from authserve.mail.transports.smtp import SMTPTransport

__all__ = [
    "ConsoleTransport",
    "FileTransport",
    "SMTPTransport",
    "Transport",
    "TransportError",
    "helo_name",
    "make_transport",
]
