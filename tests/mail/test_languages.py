"""The language of mails: their texts, the choice for a reader, and a deployment's own templates."""

import re
from pathlib import Path
from uuid import UUID

import pytest
from flask import Flask

from authserve.mail.mailer import Mailer
from authserve.mail.policy import MailKind
from authserve.users.lookup import get_user_by_reference
from tests.conftest import make_settings
from tests.support.browsing import parse_strictly
from tests.support.clients import PASSWORD, Caller
from tests.support.mail import Letter, Mailbox, open_mailbox, work
from tests.support.rows import change_user

ID = UUID(int=7)

_PSEUDO = re.compile("⟦[^⟦⟧]*⟧")
_DATA = re.compile(r"http\S+|Alice|Firefox|Phone|localhost|UTC|[0-9.:-]+")


def send(folder: Path, kind: MailKind, *locales: str | None, **settings: object) -> Letter:
    """Return a notice that needs no values, as it arrives."""
    box = Mailbox()
    mailer = Mailer(make_settings("sqlite://", folder, **settings), box)
    mailer.send(kind, to="alice@example.com", message_id=ID, locales=locales)
    return box.letters[0]


def left_of(text: str) -> str:
    """The parts of a mail's text beside texts of a catalog."""
    while _PSEUDO.search(text):
        text = _PSEUDO.sub("", text)
    return " ".join(re.findall(r"[^\W\d_]{2,}", _DATA.sub("", text)))


@pytest.mark.parametrize("kind", list(MailKind))
def test_no_text_of_a_mail_is_left_untranslated(tmp_path: Path, kind: MailKind) -> None:
    box = Mailbox()
    settings = make_settings("sqlite://", tmp_path, languages=("qps",), default_language="qps")
    Mailer(settings, box).send_sample(kind, to="alice@example.com")
    (letter,) = box.letters
    without_comments = re.sub(r"<!--.*?-->", "", letter.html, flags=re.DOTALL)
    body = parse_strictly(without_comments).find("body")
    assert body is not None
    for text in (letter.subject, letter.text, "".join(body.itertext())):
        assert left_of(text) == ""


@pytest.mark.parametrize(
    ("locales", "subject"),
    [
        (("de", "es"), "Ihr Passwort wurde geändert"),
        ((None, "es"), "Se cambió su contraseña"),
        ((None, None), "Your password was changed"),
        (("fr", "de"), "Ihr Passwort wurde geändert"),
    ],
)
def test_the_first_offered_language_is_taken(
    tmp_path: Path, locales: tuple[str | None, ...], subject: str
) -> None:
    assert send(tmp_path, MailKind.PASSWORD_CHANGED, *locales).subject == subject


def test_a_template_of_a_language_wins_over_one_of_none(tmp_path: Path) -> None:
    (tmp_path / "password_changed.txt").write_text("for all")
    (tmp_path / "password_changed.de.txt").write_text("auf Deutsch")
    sent = {
        locale: send(tmp_path, MailKind.PASSWORD_CHANGED, locale, mail_templates=tmp_path)
        for locale in ("de", "es")
    }
    assert {locale: letter.text.strip() for locale, letter in sent.items()} == {
        "de": "auf Deutsch",
        "es": "for all",
    }
    assert sent["de"].subject == "Ihr Passwort wurde geändert"


def test_a_mail_takes_the_language_of_its_reader_and_else_of_the_request(
    app: Flask, alice: Caller
) -> None:
    box = open_mailbox(app)
    body = {"email": "alice@example.com"}
    forgot = "/api/v1/auth/password/forgot"
    alice.client.post(forgot, json=body, headers={"Accept-Language": "es"})
    work(app)
    assert 'lang="es"' in box.letters[-1].html
    assert "?lang=" not in box.letters[-1].text
    change_user(app, alice.id, locale="de")
    alice.client.post(forgot, json=body, headers={"Accept-Language": "es"})
    work(app)
    assert box.letters[-1].subject == "Legen Sie ein neues Passwort fest"
    assert "/reset-password?lang=de#" in box.letters[-1].text


def test_register_by_the_api_stores_the_language_that_it_names(app: Flask) -> None:
    person = {"email": "dora@example.com", "password": PASSWORD, "locale": "es"}
    assert app.test_client().post("/api/v1/auth/register", json=person).status_code == 201
    with app.app_context():
        assert get_user_by_reference("dora@example.com").locale == "es"
