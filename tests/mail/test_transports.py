"""Mail that leaves to a folder or to standard output, and which transport a URL means."""

import os
import sys
from email import message_from_bytes
from email.policy import default
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest

from authserve.mail.errors import TransportError
from authserve.mail.message import OutgoingMail
from authserve.mail.smtp import SMTPTransport
from authserve.mail.transports import ConsoleTransport, FileTransport, helo_name, make_transport
from tests.conftest import make_settings
from tests.support.mail import write_letter

TO = "alice@example.com"


def letter(to: str = TO, *, number: int = 1, text: str = "Good day.") -> OutgoingMail:
    return write_letter(to, number=number, text=text)


class TestFolder:
    def test_it_writes_one_file_for_each_mail(self, tmp_path: Path) -> None:
        transport = FileTransport(tmp_path / "made" / "here")
        for number in (1, 2, 2):
            transport.send(letter(number=number))
        files = sorted((tmp_path / "made" / "here").iterdir())
        assert [file.name for file in files] == [
            "00000000-0000-0000-0000-000000000001@example.com.eml",
            "00000000-0000-0000-0000-000000000002@example.com.eml",
        ]
        found = message_from_bytes(files[0].read_bytes(), policy=default)
        assert (found["To"], found["Subject"]) == (TO, "Hello")

    def test_no_other_user_may_read_them(self, tmp_path: Path) -> None:
        former = os.umask(0)
        try:
            FileTransport(tmp_path / "mail").send(letter())
        finally:
            os.umask(former)
        (file,) = (tmp_path / "mail").iterdir()
        assert [path.stat().st_mode & 0o077 for path in (tmp_path / "mail", file)] == [0, 0]

    def test_it_writes_a_mail_whole_or_not_at_all(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "replace", fail)
        with pytest.raises(TransportError) as caught:
            FileTransport(tmp_path).send(letter())
        assert caught.value.reason == "the folder cannot be written: No space left on device"
        assert caught.value.is_outage
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_is_a_file_is_an_outage(self, tmp_path: Path) -> None:
        (tmp_path / "mail").touch()
        with pytest.raises(TransportError) as caught:
            FileTransport(tmp_path / "mail").send(letter())
        assert caught.value.is_outage
        with pytest.raises(TransportError, match="cannot be written"):
            FileTransport(tmp_path / "mail").check()

    def test_it_keeps_an_internationalised_address_as_it_is(self, tmp_path: Path) -> None:
        FileTransport(tmp_path).send(letter("jörg@example.com"))
        (file,) = tmp_path.glob("*.eml")
        assert "To: jörg@example.com" in file.read_text()


def test_the_console_shows_a_mail_as_people_read_it(capsys: pytest.CaptureFixture[str]) -> None:
    link = "http://127.0.0.1:8000/reset-password#token"
    ConsoleTransport().send(letter(text=f"Hello Zoë,\n\n{link}\n"))
    rule = "-" * 72
    assert capsys.readouterr().out == (
        f"{rule}\nTo: {TO}\nSubject: Hello\n\nHello Zoë,\n\n{link}\n{rule}\n"
    )


def test_the_console_shows_a_mail_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe or a file, such as the log of a container, would keep it until its buffer is full."""
    shown = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(shown))
    ConsoleTransport().send(letter())
    assert b"Good day." in shown.getvalue()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example", ("mail.example", 25, None, "", False, False)),
        ("smtp://mail.example?tls=starttls", ("mail.example", 587, None, "", False, True)),
        ("smtps://mail.example", ("mail.example", 465, None, "", True, False)),
        ("smtps://a%40b:p%2Fw@mail.example:99", ("mail.example", 99, "a@b", "p/w", True, False)),
        ("smtp://[::1]:2525", ("::1", 2525, None, "", False, False)),
    ],
)
def test_the_url_says_how_to_reach_the_server(url: str, expected: tuple[Any, ...]) -> None:
    transport = make_transport(url, helo="auth.example")
    assert isinstance(transport, SMTPTransport)
    names = ("host", "port", "username", "password", "is_implicit_tls", "is_starttls")
    assert tuple(getattr(transport, f"_{name}") for name in names) == expected


def test_the_url_can_mean_the_log_or_a_folder(tmp_path: Path) -> None:
    assert isinstance(make_transport("console:", helo=""), ConsoleTransport)
    make_transport(f"file://{tmp_path}/with%20space", helo="").send(letter())
    assert len(list((tmp_path / "with space").iterdir())) == 1


@pytest.mark.parametrize(
    ("public_url", "mail_helo", "expected"),
    [
        ("https://auth.example", "", "auth.example"),
        ("https://auth.example:8443", "", "auth.example"),
        ("https://bücher.example", "", "xn--bcher-kva.example"),
        ("http://127.0.0.1:8000", "", "[127.0.0.1]"),
        ("http://[::1]:8000", "", "[IPv6:::1]"),
        ("https://auth.example", "mx.example", "mx.example"),
    ],
)
def test_servers_are_greeted_by_the_public_name(
    tmp_path: Path, public_url: str, mail_helo: str, expected: str
) -> None:
    settings = make_settings("sqlite://", tmp_path, public_url=public_url, mail_helo=mail_helo)
    assert helo_name(settings) == expected
