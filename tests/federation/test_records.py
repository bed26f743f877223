"""Identities in exports and imports, and in the copy of a user's own data."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskCliRunner

from authserve.federation.identities import MAX_IDENTITIES, find_owner
from tests.support.clients import Caller
from tests.support.identities import GOOGLE, give_identity
from tests.support.rows import forget_deleted_users

ME = "/api/v1/users/me"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with providers, and with the other part of accounts."""
    return make_app(features=("pages", "api-keys", "federation"))


def run(app: Flask, *args: object) -> Result:
    """Run a command about users."""
    runner: FlaskCliRunner = app.test_cli_runner(capture="fd")
    return runner.invoke(args=["users", *map(str, args)])


def owner_of(app: Flask, subject: str) -> str | None:
    with app.app_context():
        found = find_owner(GOOGLE, subject)
    return str(found.id) if found is not None else None


def test_an_imported_account_that_an_identity_opens_is_activated(
    app: Flask, tmp_path: Path
) -> None:
    """It could otherwise be invited, and an invitation sets a password."""
    identity = {"issuer": GOOGLE, "subject": "1", "created_at": "2026-01-01T00:00:00Z"}
    row = {"email": "ann@example.com", "identities": [identity]}
    file = tmp_path / "in.ndjson"
    file.write_text(json.dumps(row))
    assert run(app, "import", file).exit_code == 0
    assert run(app, "invite", "ann@example.com").exit_code == 1


def test_an_identity_opens_its_account_after_a_move(
    app: Flask, make_app: Callable[..., Flask], alice: Caller, bob: Caller, tmp_path: Path
) -> None:
    file = tmp_path / "users.ndjson"
    give_identity(app, alice.id, subject="CN=Alice Liddell")
    assert run(app, "export", file).exit_code == 0
    rows = {row["username"]: row for row in map(json.loads, file.read_text().splitlines())}
    (identity,) = rows["alice"]["identities"]
    assert rows["bob"]["identities"] == rows["bob"]["api_keys"] == []
    created_at = identity.pop("created_at")
    assert identity == {
        "issuer": GOOGLE,
        "subject": "CN=Alice Liddell",
        "email": "alice@gmail.com",
        "last_used_at": None,
    }
    assert run(app, "delete", "alice", "--yes").exit_code == 0
    forget_deleted_users(app)
    assert owner_of(app, "CN=Alice Liddell") is None, "it goes with its account"
    # What another account has meanwhile stays with that account.
    give_identity(app, bob.id, subject="another")
    rows["alice"]["identities"].append({**identity, "subject": "another", "created_at": created_at})
    rows["alice"]["identities"][0]["created_at"] = created_at
    file.write_text(json.dumps(rows["alice"]))

    refused = run(make_app(features=("api-keys",)), "import", file)
    assert "identities: needs federation in FEATURES" in refused.output
    done = run(app, "import", file, "--without-bad-usernames")
    assert done.exit_code == 0, done.output
    assert owner_of(app, "CN=Alice Liddell") == str(alice.id)
    assert owner_of(app, "another") == str(bob.id)

    many = [
        {**identity, "subject": str(number), "created_at": created_at}
        for number in range(MAX_IDENTITIES + 1)
    ]
    file.write_text(json.dumps({"email": "eve@example.com", "identities": many}))
    assert "identities: an account can have 10" in run(app, "import", file).output
    whole = {**identity, "created_at": created_at}
    records = [
        (name, {other: value for other, value in whole.items() if other != name})
        for name in ("issuer", "subject", "created_at")
    ]
    for name, value in {"issuer": "https://a b", "subject": "a\x00", "email": ""}.items():
        records.append((name, {**whole, name: value}))
    for name, record in records:
        file.write_text(json.dumps({"email": "eve@example.com", "identities": [record]}))
        assert f"identities.0.{name}" in run(app, "import", file).output


def test_an_owner_gets_a_copy_of_the_data_about_identities(app: Flask, alice: Caller) -> None:
    mine = give_identity(app, alice.id)
    (listed,) = alice.get(f"{ME}/export").get_json()["identities"]
    assert (listed["id"], listed["issuer"], listed["email"]) == (mine, GOOGLE, "alice@gmail.com")
