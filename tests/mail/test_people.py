"""Texts that users and operators choose, as they arrive at a mail server."""

import re
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import update

from authserve.database.transactions import transaction
from authserve.mail.mailer import MAILER, Mailer
from authserve.mail.transports import make_transport
from authserve.settings.model import SETTINGS
from authserve.users.models import User
from tests.support.clients import PASSWORD
from tests.support.mail import work
from tests.support.messages import messages
from tests.support.smtp import MailServer, mail_server

MakeApp = Callable[..., Flask]

REGISTER = "/api/v1/auth/register"

EVIL_ADDRESS = "=?utf-8?q?=0d=0aBcc=3aeve=40evil.example=0d=0a=0d=0abody?=@example.com"

NAMES = [
    "=?utf-8?q?=0d=0aBcc=3aeve=40evil.example?=",
    '"; <eve@evil.example>',
    "\u212a.\u0301 evil.example",
]


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture
def app(make_app: MakeApp, server: MailServer) -> Flask:
    app = make_app(brand_name='=?utf-8?q?=0d=0aBcc=3aeve?= "Größe" <a@b>')
    settings = SETTINGS.of(app)
    transport = make_transport(server.url, helo="auth.example")
    MAILER.fill(app, Mailer(settings, transport))
    return app


def header_names(content: bytes) -> list[bytes]:
    head = content.partition(b"\r\n\r\n")[0]
    return [name.lower() for name in re.findall(rb"(?:^|\r\n)([!-9;-~]+):", head)]


USUAL = [
    b"from",
    b"to",
    b"subject",
    b"date",
    b"message-id",
    b"auto-submitted",
    b"mime-version",
    b"content-type",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("email", ["o'neil+%!x@example.com", "jörg.Ünsal@example.com"])
def test_no_name_and_no_address_adds_a_line_or_a_recipient(
    app: Flask, server: MailServer, name: str, email: str
) -> None:
    body = {"email": email, "password": PASSWORD, "display_name": name}
    answer = app.test_client().post(REGISTER, json=body)
    assert answer.status_code == 201, answer.text
    work(app)
    (arrival,) = server.arrivals
    assert arrival.to == answer.get_json()["email"]
    assert header_names(arrival.content) == USUAL
    assert f"\r\nTo: {arrival.to}\r\n".encode() in arrival.content
    assert b"evil.example>" not in arrival.content.partition(b"\r\n\r\n")[0]


def test_a_name_with_a_line_separator_is_refused(app: Flask, server: MailServer) -> None:
    name = "Zoë\u2028Bcc: eve@evil.example"
    body = {"email": "zoe@example.com", "password": PASSWORD, "display_name": name}
    answer = app.test_client().post(REGISTER, json=body)
    assert (answer.status_code, list(answer.get_json()["errors"])) == (422, ["display_name"])
    work(app)
    assert server.arrivals == []


def test_an_encoded_word_is_refused_as_an_address(app: Flask, server: MailServer) -> None:
    client = app.test_client()
    for path, body in (
        (REGISTER, {"email": EVIL_ADDRESS, "password": PASSWORD}),
        ("/api/v1/auth/password/forgot", {"email": EVIL_ADDRESS}),
        ("/api/v1/auth/email/verify/resend", {"email": EVIL_ADDRESS}),
    ):
        answer = client.post(path, json=body)
        assert (answer.status_code, list(answer.get_json()["errors"])) == (422, ["email"])
    work(app)
    assert server.arrivals == []


def test_one_that_an_older_release_stored_gets_no_mail_and_stops_no_other(
    app: Flask, server: MailServer
) -> None:
    client = app.test_client()
    body = {"email": "eve@example.com", "username": "eve", "password": PASSWORD}
    user = client.post(REGISTER, json=body).get_json()
    work(app)
    server.arrivals.clear()
    with app.app_context(), transaction() as session:
        is_eve = User.id == UUID(user["id"])
        session.execute(update(User).where(is_eve).values(email=EVIL_ADDRESS))
    tokens = client.post("/api/v1/auth/login", json={"identifier": "eve", "password": PASSWORD})
    headers = {"Authorization": f"Bearer {tokens.get_json()['access_token']}"}
    change = {"current_password": PASSWORD, "new_password": "another long passphrase"}
    assert client.put("/api/v1/users/me/password", json=change, headers=headers).status_code == 204
    client.post(REGISTER, json={"email": "zoe@example.com", "password": PASSWORD})
    work(app)
    assert [arrival.to for arrival in server.arrivals] == ["zoe@example.com"]
    (refused,) = messages(app, kind="password_changed")
    assert refused["last_error"] == "the address cannot be written to"
