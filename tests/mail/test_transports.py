"""Mail that leaves to a folder or to the log, and which transport a URL means."""

import logging
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from authserve.mail.transports import (
    ConsoleTransport,
    FileTransport,
    SMTPTransport,
    TransportError,
    make_transport,
)

TO = "alice@example.com"


def letter(to: str = TO, *, number: int = 1, text: str = "Good day.") -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = "Hello"
    message["To"] = to
    message["Message-ID"] = f"<{number}@example.com>"
    message.set_content(text)
    return message


class TestFolder:
    def test_it_writes_one_file_for_each_mail(self, tmp_path: Path) -> None:
        transport = FileTransport(tmp_path / "made" / "here")
        for number in (1, 2, 2):
            transport.send(letter(number=number), to=TO)
        files = sorted((tmp_path / "made" / "here").iterdir())
        assert [file.name for file in files] == ["1@example.com.eml", "2@example.com.eml"]
        found = message_from_bytes(files[0].read_bytes(), policy=default)
        assert (found["To"], found["Subject"]) == (TO, "Hello")

    def test_nobody_else_may_read_them(self, tmp_path: Path) -> None:
        FileTransport(tmp_path / "mail").send(letter(), to=TO)
        assert (tmp_path / "mail").stat().st_mode & 0o077 == 0

    def test_it_writes_a_mail_whole_or_not_at_all(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "replace", fail)
        with pytest.raises(TransportError) as caught:
            FileTransport(tmp_path).send(letter(), to=TO)
        assert caught.value.reason == "the folder cannot be written: No space left on device"
        assert caught.value.is_outage
        assert list(tmp_path.glob("*.eml")) == []

    def test_a_folder_that_is_a_file_is_an_outage(self, tmp_path: Path) -> None:
        (tmp_path / "mail").touch()
        with pytest.raises(TransportError) as caught:
            FileTransport(tmp_path / "mail").send(letter(), to=TO)
        assert caught.value.is_outage

    def test_no_message_id_leads_out_of_it(self, tmp_path: Path) -> None:
        message = letter()
        del message["Message-ID"]
        message["Message-ID"] = "<../../etc/passwd@example.com>"
        FileTransport(tmp_path / "mail").send(message, to=TO)
        assert [file.parent for file in tmp_path.rglob("*.eml")] == [tmp_path / "mail"]

    def test_it_keeps_an_internationalised_address_as_it_is(self, tmp_path: Path) -> None:
        FileTransport(tmp_path).send(letter("jörg@example.com"), to="jörg@example.com")
        (file,) = tmp_path.glob("*.eml")
        assert "To: jörg@example.com" in file.read_text()


def test_the_log_shows_the_link(caplog: pytest.LogCaptureFixture) -> None:
    link = "http://localhost:8000/reset-password#token"
    with caplog.at_level(logging.WARNING):
        ConsoleTransport().send(letter(text=f"Follow\n\n{link}\n\nsoon."), to=TO)
        ConsoleTransport().send(letter(text="No link here."), to=TO)
    first, second = caplog.records
    assert first.message == f"mail for {TO}: Hello"
    assert (first.link, second.link) == (link, None)  # type: ignore[attr-defined]


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
    transport = make_transport(url)
    assert isinstance(transport, SMTPTransport)
    names = ("host", "port", "username", "password", "is_implicit_tls", "is_starttls")
    assert tuple(getattr(transport, f"_{name}") for name in names) == expected


def test_the_url_can_mean_the_log_or_a_folder(tmp_path: Path) -> None:
    assert isinstance(make_transport("console:"), ConsoleTransport)
    make_transport(f"file://{tmp_path}/with%20space").send(letter(), to=TO)
    assert len(list((tmp_path / "with space").iterdir())) == 1
