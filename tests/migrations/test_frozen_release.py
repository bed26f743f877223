"""A database of the release 0.1, as it was before the steps from 0007 on: all of it keeps working.

`frozen/` holds the database on both kinds, and what a client kept of it. Three people registered
(alice, bob, and carol, an administrator), alice refreshed once and asked for another address, bob
asked for a reset link and gave a wrong password, and carol invited dave. Nothing was mailed yet.
"""

import json
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
import time_machine
from flask import Flask

from authserve.app import create_app
from authserve.audit.verify import verify_trail
from authserve.database.transactions import db
from tests.conftest import PostgreSQL, libpq_url, make_settings, migrate
from tests.support.mail import open_mailbox, work
from tests.support.marks import both_databases

pytestmark = both_databases

FROZEN = Path(__file__).parent / "frozen"

ISSUER = "http://127.0.0.1:8000"
"""The default of `PUBLIC_URL` in the frozen release; tokens name it."""


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def kept(database_kind: str) -> dict[str, Any]:
    """The tokens and answers that a client kept."""
    document: dict[str, dict[str, Any]] = json.loads((FROZEN / "known.json").read_text())
    return document[database_kind]


@pytest.fixture
def frozen_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The frozen database, as the release left it."""
    dump = (FROZEN / f"{database_kind}.sql").read_text()
    if database_kind == "sqlite":
        path = tmp_path / "frozen.db"
        connection = sqlite3.connect(path)
        connection.executescript(dump)
        connection.close()
        yield f"sqlite:///{path}"
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    name = f"frozen_{uuid4().hex}"
    url = server.create(name)
    with psycopg2.connect(libpq_url(url)) as postgresql:
        postgresql.cursor().execute(dump)
    postgresql.close()
    yield url
    server.drop(name)


NEW_MEMBERS = {"locale": None}
"""What the answer about an account has gained since that release."""


@pytest.fixture
def app(frozen_url: str, kept: dict[str, Any], tmp_path: Path) -> Iterator[Flask]:
    """This release on the database, a minute after it was frozen."""
    migrate(frozen_url, tmp_path)
    app = create_app(make_settings(frozen_url, tmp_path, public_url=ISSUER))
    frozen_at = datetime.fromisoformat(kept["at"])
    with time_machine.travel(frozen_at + timedelta(minutes=1), tick=False):
        yield app
    with app.app_context():
        db.engine.dispose()


def test_tokens_and_passwords_keep_working(app: Flask, kept: dict[str, Any]) -> None:
    client = app.test_client()
    me = client.get("/api/v1/users/me", headers=bearer(kept["access_token"]))
    assert me.status_code == 200
    assert me.get_json() == kept["me"] | NEW_MEMBERS

    body = {"refresh_token": kept["refresh_token"]}
    refreshed = client.post("/api/v1/auth/refresh", json=body)
    assert refreshed.status_code == 200
    assert refreshed.get_json()["session_id"] == kept["session_id"]

    body = {
        "identifier": "alice",
        "password": kept["password"],
        "device_token": kept["device_token"],
    }
    signed_in = client.post("/api/v1/auth/login", json=body)
    assert signed_in.status_code == 200


def test_pending_mails_arrive_and_their_links_work(app: Flask, kept: dict[str, Any]) -> None:
    mailbox = open_mailbox(app)
    work(app)
    client = app.test_client()

    (reset,) = [letter for letter in mailbox.to("bob@example.com") if "reset" in letter.link]
    body = {"token": reset.token, "new_password": "another horse, another staple"}
    assert client.post("/api/v1/auth/password/reset", json=body).status_code == 200

    (change,) = mailbox.to("alice@new.example.com")
    body = {"token": change.token, "password": kept["password"]}
    assert client.post("/api/v1/users/me/email/confirm", json=body).status_code == 204

    (invitation,) = mailbox.to("dave@example.com")
    body = {"token": invitation.token, "password": "another horse, another staple"}
    assert client.post("/api/v1/auth/invitation/accept", json=body).status_code == 200


def test_the_administrator_keeps_access_and_accounts_count_as_activated(
    app: Flask, kept: dict[str, Any]
) -> None:
    client = app.test_client()
    body = {"refresh_token": kept["admin_refresh_token"]}
    token = client.post("/api/v1/auth/refresh", json=body).get_json()["access_token"]
    users = client.get("/api/v1/users", headers=bearer(token)).get_json()["items"]
    ids = {user["username"]: user["id"] for user in users}
    assert ids.keys() == {"alice", "bob", "carol", None}
    for name, status in (("bob", 409), (None, 202)):
        again = client.post(f"/api/v1/users/{ids[name]}/invitation", headers=bearer(token))
        assert again.status_code == status, name


def test_the_audit_trail_is_whole(app: Flask) -> None:
    with app.app_context():
        verified = verify_trail()
    assert verified.events > 0
    assert verified.unsealed > 0
