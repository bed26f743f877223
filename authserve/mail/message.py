"""Writing the bytes of a mail.

No header goes through Python's `email` package: some of its versions decode encoded words inside
addresses, line breaks included (CPython 3.11 and 3.12, `email.headerregistry`). So each header is
written here, from ASCII that is safe by construction, and is not parsed again.
"""

import quopri
import re
from base64 import b64encode, encodebytes
from collections.abc import Iterator, Sequence
from datetime import datetime
from email.utils import format_datetime
from uuid import UUID

from authserve.core.frozen import frozen

MAX_PLAIN_LENGTH = 60
"""Characters of the longest header text that is written unencoded; a line has room for 78 with the
header's name (RFC 5322 §2.1.1)."""

ENCODED_CHUNK_BYTES = 39
"""Bytes of UTF-8 in one encoded word: 64 characters, so that a line with a header's name stays
within 76 (RFC 2047 §2)."""

_MAILBOX = re.compile(r"(?:(?P<name>.*?) *<(?P<address>[^<>]+)>|(?P<bare>[^<>]+))")


@frozen()
class Sender:
    """The mailbox that mails come from.

    Args:
        address: plain, in ASCII.
        name: shown beside the address, or empty.
    """

    address: str
    name: str = ""

    @property
    def domain(self) -> str:
        """The part of the address after the `@`."""
        return self.address.rpartition("@")[2]


@frozen()
class InlinePNG:
    """A PNG inside a mail; the HTML shows it by the URL `cid:` and the content id (RFC 2392).

    Args:
        content_id: unique in the world, such as `logo.<message id>`; without angle brackets.
        content: the file.
    """

    content_id: str
    content: bytes


@frozen(kw_only=True)
class OutgoingMail:
    """A mail that is ready to be sent.

    Args:
        sender, recipient: the envelope's addresses.
        message_id: without angle brackets.
        subject, text: not encoded.
        content: the whole mail, with CRLF at the end of each line. ASCII, unless the recipient's
            address is not: then its header is UTF-8 (RFC 6532 §3).
    """

    sender: str
    recipient: str
    message_id: str
    subject: str
    text: str
    content: bytes


def read_sender(mailbox: str) -> Sender:
    """Return the mailbox in `MAIL_FROM`, whose form the settings have checked.

    Raises:
        ValueError: it is not a mailbox.
    """
    found = _MAILBOX.fullmatch(mailbox)
    if found is None:
        raise ValueError("not a mailbox")
    name = (found["name"] or "").strip()
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = name[1:-1]
    return Sender(found["address"] or found["bare"], name)


def write_mail(
    *,
    sender: Sender,
    recipient: str,
    message_id: UUID,
    sent_at: datetime,
    subject: str,
    text: str,
    html: str,
    images: Sequence[InlinePNG] = (),
) -> OutgoingMail:
    """Write a mail in text and HTML.

    Args:
        recipient: a plain address; callers must check it with
            `core.identifiers.is_plain_address`, since it is written as it is.
        subject: line breaks become spaces, control characters are removed.
        text, html: any characters.
        images: those that the HTML shows; a mail program lists others as attachments.
    """
    plain_subject = _one_line(subject)
    full_id = f"{message_id}@{sender.domain}"
    # The equals sign keeps it out of both parts: quoted-printable writes each one as =3D.
    boundary = f"=_{message_id.hex}"
    lines = [
        f"From: {_mailbox(sender)}",
        f"To: {recipient}",
        f"Subject: {encode_header(plain_subject)}",
        f"Date: {format_datetime(sent_at)}",
        f"Message-ID: <{full_id}>",
        # RFC 3834 §5: keeps out-of-office programs from answering.
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Type: multipart/alternative;",
        f' boundary="{boundary}"',
        "",
        f"--{boundary}",
        *_words("plain", text),
        f"--{boundary}",
        *_html(html, images, boundary=f"=_related_{message_id.hex}"),
        f"--{boundary}--",
        "",
    ]
    return OutgoingMail(
        sender=sender.address,
        recipient=recipient,
        message_id=full_id,
        subject=plain_subject,
        text=text,
        content="\r\n".join(lines).encode(),
    )


def encode_header(text: str) -> str:
    """Return short printable ASCII unchanged, other text as encoded words (RFC 2047)."""
    is_plain = text.isascii() and text.isprintable() and "=?" not in text
    if is_plain and len(text) <= MAX_PLAIN_LENGTH:
        return text
    return "\r\n ".join(f"=?utf-8?b?{b64encode(chunk).decode()}?=" for chunk in _chunks(text))


def _chunks(text: str) -> Iterator[bytes]:
    """Yield the text's UTF-8 in chunks that never split a character."""
    chunk = b""
    for character in text:
        encoded = character.encode()
        if len(chunk) + len(encoded) > ENCODED_CHUNK_BYTES:
            yield chunk
            chunk = b""
        chunk += encoded
    yield chunk


def _one_line(text: str) -> str:
    return "".join(filter(str.isprintable, " ".join(text.split())))


def _mailbox(sender: Sender) -> str:
    name = encode_header(sender.name)
    if name == sender.name:
        escaped = re.sub(r'(["\\])', r"\\\1", name)
        name = f'"{escaped}"' if name else ""
    return f"{name}\r\n <{sender.address}>" if name else sender.address


def _html(html: str, images: Sequence[InlinePNG], *, boundary: str) -> Iterator[str]:
    """Yield the HTML, together with its images if there are any (RFC 2387)."""
    if not images:
        yield from _words("html", html)
        return
    yield 'Content-Type: multipart/related; type="text/html";'
    yield f' boundary="{boundary}"'
    yield ""
    yield f"--{boundary}"
    yield from _words("html", html)
    for image in images:
        yield f"--{boundary}"
        yield from _image(image)
    yield f"--{boundary}--"


def _words(subtype: str, words: str) -> Iterator[str]:
    yield f'Content-Type: text/{subtype}; charset="utf-8"'
    yield "Content-Transfer-Encoding: quoted-printable"
    yield ""
    plain_ends = words.replace("\r\n", "\n").replace("\r", "\n")
    yield from quopri.encodestring(plain_ends.encode()).decode("ascii").split("\n")


def _image(image: InlinePNG) -> Iterator[str]:
    yield "Content-Type: image/png"
    yield "Content-Transfer-Encoding: base64"
    yield f"Content-ID: <{image.content_id}>"
    # With a disposition of its own kind, mail programs do not list it as an attachment.
    yield "Content-Disposition: inline"
    yield ""
    yield from encodebytes(image.content).decode("ascii").splitlines()
