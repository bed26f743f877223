"""API keys in exports and imports."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from click.testing import Result
from flask import Flask
from flask.testing import FlaskCliRunner

from authserve.apikeys.policy import MAX_LIVE_KEYS
from tests.apikeys.conftest import MakeKey
from tests.support.clients import Caller
from tests.support.rows import forget_deleted_users

ME = "/api/v1/users/me"


def run(app: Flask, *args: object) -> Result:
    """Run a command about users."""
    runner: FlaskCliRunner = app.test_cli_runner(capture="fd")
    return runner.invoke(args=["users", *map(str, args)])


def test_a_key_goes_on_after_a_move(
    app: Flask,
    make_app: Callable[..., Flask],
    alice: Caller,
    bob: Caller,
    make_key: MakeKey,
    tmp_path: Path,
) -> None:
    program, file = make_key(alice), tmp_path / "users.ndjson"
    assert run(app, "export", file).exit_code == 0
    rows = {row["username"]: row for row in map(json.loads, file.read_text().splitlines())}
    (key,) = rows["alice"]["api_keys"]
    assert program.key not in file.read_text()
    assert rows["bob"]["api_keys"] == []
    # An existing account keeps its own keys.
    assert run(app, "import", file, "--update").exit_code == 0
    assert program.get(ME).status_code == 200
    assert run(app, "delete", "alice", "bob", "--yes").exit_code == 0
    forget_deleted_users(app)
    assert program.get(ME).status_code == 401

    without = make_app(features=())
    refused = run(without, "import", file)
    assert refused.exit_code != 0
    assert "api_keys: needs api-keys in FEATURES" in refused.output
    # The names are held for their former owners.
    done = run(app, "import", file, "--without-bad-usernames")
    assert done.exit_code == 0, done.output
    assert program.get(ME).get_json()["id"] == str(alice.id)

    file.write_text(json.dumps({"email": "eve@example.com", "api_keys": [{**key, "aal": 4}]}))
    assert "api_keys.0.aal" in run(app, "import", file).output
    year = timedelta(days=365, seconds=1)
    eternal = (datetime.fromisoformat(key["created_at"]) + year).isoformat()
    for records, fault in (
        ([{**key, "expires_at": eternal}], "api_keys.0.expires_at"),
        ([key] * (MAX_LIVE_KEYS + 1), "an account can have 50"),
    ):
        file.write_text(json.dumps({"email": "eve@example.com", "api_keys": records}))
        assert fault in run(app, "import", file).output
    for name in key.keys() - {"last_used_at"}:
        record = {other: value for other, value in key.items() if other != name}
        file.write_text(json.dumps({"email": "eve@example.com", "api_keys": [record]}))
        assert f"api_keys.0.{name}" in run(app, "import", file).output


def test_an_owner_gets_a_copy_of_the_data_about_keys(alice: Caller, make_key: MakeKey) -> None:
    program = make_key(alice)
    (listed,) = alice.get(f"{ME}/export").get_json()["api_keys"]
    assert (listed["id"], listed["scopes"]) == (str(program.id), ["account"])
    assert "digest" not in listed
