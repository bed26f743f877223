"""A restored backup: sessions ended after it was taken stay ended."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import make_url

from authserve.app import create_app
from authserve.core.clock import now
from authserve.database.transactions import db
from tests.conftest import PostgreSQL, make_settings
from tests.support.clients import Caller, login
from tests.support.crowd import DEADLINE_SECS
from tests.support.marks import both_databases

pytestmark = both_databases

Restore = Callable[[], Flask]


def run(program: Path, *arguments: str) -> None:
    done = subprocess.run(
        [str(program), *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECS,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def backup(
    app: Flask, database_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[[], Restore]]:
    """Take a backup; return a function that restores it and makes an application on it."""
    made: list[Flask] = []
    name = f"restored_{uuid4().hex}"

    def serve(url: str) -> Flask:
        made.append(create_app(make_settings(url, tmp_path)))
        return made[-1]

    def take() -> Restore:
        kept = tmp_path / "backup"
        if database_url.startswith("sqlite"):
            path = make_url(database_url).database or ""
            with app.app_context():
                db.engine.dispose()
            shutil.copy(path, kept)
            return lambda: serve(f"sqlite:///{kept}")
        postgresql: PostgreSQL = request.getfixturevalue("postgresql")
        source = database_url.replace("+psycopg2", "")
        binaries = postgresql.server.bin_path
        run(binaries / "pg_dump", "--format=custom", f"--file={kept}", source)

        def restore() -> Flask:
            url = postgresql.create(name)
            target = url.replace("+psycopg2", "")
            run(
                binaries / "pg_restore",
                "--no-owner",
                "--exit-on-error",
                f"--dbname={target}",
                str(kept),
            )
            return serve(url)

        return restore

    yield take
    for each in made:
        with each.app_context():
            db.engine.dispose()
    if database_url.startswith("postgresql"):
        request.getfixturevalue("postgresql").drop(name)


def me(client: FlaskClient, tokens: dict[str, Any]) -> int:
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    return client.get("/api/v1/users/me", headers=headers).status_code


def refresh(client: FlaskClient, tokens: dict[str, Any]) -> int:
    body = {"refresh_token": tokens["refresh_token"]}
    return client.post("/api/v1/auth/refresh", json=body).status_code


def doctor_on_sessions(app: Flask) -> str:
    output = app.test_cli_runner().invoke(args=["doctor", "--json"]).stdout
    findings = json.loads(output[output.index("{\n") :])["findings"]
    return str(next(each["level"] for each in findings if each["check"] == "sessions"))


@pytest.mark.fault
def test_what_was_ended_lives_again_until_it_is_revoked(
    app: Flask, alice: Caller, bob: Caller, backup: Callable[[], Restore]
) -> None:
    rotated = login(app.test_client(), "bob").get_json()
    restore = backup()
    assert alice.post("/api/v1/auth/logout").status_code == 204
    assert refresh(bob.client, rotated) == 200
    assert doctor_on_sessions(app) == "ok"

    restored = restore()
    client, is_told = restored.test_client(), not str(db_url(restored)).startswith("sqlite")
    assert me(client, alice.tokens) == 200, "a logout that was forgotten"
    assert doctor_on_sessions(restored) == ("warning" if is_told else "ok")

    moment = (now() + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%S")
    command = ["sessions", "revoke", "--issued-before", moment]
    result = restored.test_cli_runner().invoke(args=[*command, "--yes"])
    assert "3 sessions ended." in result.output
    for tokens in (alice.tokens, bob.tokens, rotated):
        assert me(client, tokens) == 401
        assert refresh(client, tokens) == 401
    assert doctor_on_sessions(restored) == "ok"
    new = login(client, "alice").get_json()
    assert me(client, new) == 200


def db_url(app: Flask) -> str:
    return str(app.config["SQLALCHEMY_DATABASE_URI"])


def test_its_audit_trail_is_whole_and_continues(
    alice: Caller, backup: Callable[[], Restore]
) -> None:
    restored = backup()()
    runner = restored.test_cli_runner()
    assert login(restored.test_client(), "alice").status_code == 200
    result = runner.invoke(args=["audit", "verify"])
    assert result.exit_code == 0, result.output
