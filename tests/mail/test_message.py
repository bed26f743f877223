"""The bytes of a mail: headers that no text can add to, and bodies that arrive as written."""

from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from authserve.mail.message import OutgoingMail, Sender, encode_header, read_sender, write_mail

NO_SURROGATES = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)

HEADERS = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "MIME-Version",
    "Content-Type",
]


def write(
    *, name: str = "", subject: str = "Hello", text: str = "Text", html: str = "<p>HTML</p>"
) -> OutgoingMail:
    return write_mail(
        sender=Sender("no-reply@auth.example", name),
        recipient="alice@example.com",
        message_id=UUID(int=7),
        sent_at=datetime(2030, 1, 1, 12, tzinfo=UTC),
        subject=subject,
        text=text,
        html=html,
    )


def test_it_is_written_to_the_letter() -> None:
    mail = write(name='Größe "& Co', subject="Grüße", text="Zoë\n.\nFrom here", html="<p>ë</p>")
    boundary = "=_00000000000000000000000000000007"
    assert mail.content.decode("ascii").split("\r\n") == [
        "From: =?utf-8?b?R3LDtsOfZSAiJiBDbw==?=",
        " <no-reply@auth.example>",
        "To: alice@example.com",
        "Subject: =?utf-8?b?R3LDvMOfZQ==?=",
        "Date: Tue, 01 Jan 2030 12:00:00 +0000",
        "Message-ID: <00000000-0000-0000-0000-000000000007@auth.example>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Type: multipart/alternative;",
        f' boundary="{boundary}"',
        "",
        f"--{boundary}",
        'Content-Type: text/plain; charset="utf-8"',
        "Content-Transfer-Encoding: quoted-printable",
        "",
        "Zo=C3=AB",
        "=2E",
        "From here",
        f"--{boundary}",
        'Content-Type: text/html; charset="utf-8"',
        "Content-Transfer-Encoding: quoted-printable",
        "",
        "<p>=C3=AB</p>",
        f"--{boundary}--",
        "",
    ]


def parsed(mail: OutgoingMail) -> Message:
    """Read a mail by the parser that decodes nothing by itself."""
    return message_from_bytes(mail.content)


@settings(max_examples=40)
@given(subject=NO_SURROGATES, name=NO_SURROGATES, text=NO_SURROGATES)
@example("a\r\nBcc: eve@evil.example\r\n\r\nbody", "a\r\nBcc: eve@evil.example", "\r\n.\r\nQUIT")
@example("=?utf-8?q?=0d=0aBcc=3aeve=40evil.example?=", '" <eve@evil.example>, "', "--=_\r\n\r\n")
@example("", "\\", "=_00000000000000000000000000000007--")
def test_no_text_adds_a_header_a_part_or_a_recipient(subject: str, name: str, text: str) -> None:
    mail = write(subject=subject, name="".join(filter(str.isprintable, name)), text=text, html=text)
    message = parsed(mail)
    assert message.keys() == HEADERS
    assert message["To"] == "alice@example.com"
    assert message["From"].removesuffix(">").endswith("no-reply@auth.example")
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/alternative",
        "text/plain",
        "text/html",
    ]
    assert mail.content.isascii()
    lines = mail.content.split(b"\r\n")
    assert not any(b"\n" in line or b"\r" in line or len(line) > 98 for line in lines)


@settings(max_examples=40)
@given(NO_SURROGATES)
@example("x" * 200)
@example("=?utf-8?q?a?=")
@example("\U0001f600" * 50)
def test_a_header_reads_as_it_was_meant(text: str) -> None:
    subject = write(subject=text).subject
    assert str(make_header(decode_header(encode_header(subject)))) == subject


@pytest.mark.parametrize(("count", "lengths"), [(19, [64]), (20, [64, 16])])
def test_an_encoded_word_has_up_to_64_characters(count: int, lengths: list[int]) -> None:
    """A line with the longest name of a header then stays within the 76 of RFC 2047 §2."""
    words = encode_header("!" + "ö" * count).split()
    assert [len(word) for word in words] == lengths


@settings(max_examples=40)
@given(NO_SURROGATES)
@example("x" * 2000 + " \n \t\n")
def test_a_body_arrives_as_written(text: str) -> None:
    part = parsed(write(text=text)).get_payload(0)
    assert isinstance(part, Message)
    body = part.get_payload(decode=True)
    assert isinstance(body, bytes)
    wanted = text.replace("\r\n", "\n").replace("\r", "\n")
    assert body.decode().replace("\r\n", "\n") == wanted


@pytest.mark.parametrize(
    ("mailbox", "sender"),
    [
        ("no-reply@auth.example", Sender("no-reply@auth.example")),
        ("<no-reply@auth.example>", Sender("no-reply@auth.example")),
        ("authserve <no-reply@localhost>", Sender("no-reply@localhost", "authserve")),
        ('"Größe, A. & Co" <a@auth.example>', Sender("a@auth.example", "Größe, A. & Co")),
        ("J. Doe<a@auth.example>", Sender("a@auth.example", "J. Doe")),
    ],
)
def test_the_sender_is_what_the_setting_names(mailbox: str, sender: Sender) -> None:
    assert read_sender(mailbox) == sender
