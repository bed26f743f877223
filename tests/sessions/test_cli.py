"""`flask sessions`."""

import json
from datetime import timedelta

import pytest
import time_machine
from click.testing import Result
from flask import Flask
from flask.testing import FlaskCliRunner

from authserve.core.clock import now, to_rfc3339
from tests.support.clients import Caller, login
from tests.support.marks import both_databases
from tests.support.rows import audit_trail, change_session, count_sessions, live_session_row
from tests.support.tables import read_table

Clock = time_machine.Traveller


def run(runner: FlaskCliRunner, *arguments: str, **kwargs: str) -> Result:
    return runner.invoke(args=["sessions", *arguments], **kwargs)


@both_databases
def test_purge_deletes_dead_sessions_and_prints_their_number(
    clock: Clock, app: Flask, runner: FlaskCliRunner, alice: Caller
) -> None:
    for column in ("revoked_at", "expires_at", "idle_expires_at"):
        dead = login(app.test_client(), "alice").get_json()["session_id"]
        change_session(app, dead, **{column: now() - timedelta(hours=2)})
    result = run(runner, "purge")
    assert (result.exit_code, result.stdout) == (0, "3 dead sessions deleted.\n")
    assert run(runner, "purge").stdout == "0 dead sessions deleted.\n"
    assert alice.get("/api/v1/users/me").status_code == 200


@both_databases
def test_list_shows_live_sessions_newest_first(
    monkeypatch: pytest.MonkeyPatch, app: Flask, runner: FlaskCliRunner, alice: Caller, bob: Caller
) -> None:
    monkeypatch.setattr("authserve.sessions.cli.PAGE_SIZE", 1)
    new = login(app.test_client(), "alice").get_json()["session_id"]
    bob.post("/api/v1/auth/logout")
    header, *rows = read_table(run(runner, "list").stdout)
    assert header == ["ID", "USER ID", "KIND", "APP", "CREATED", "LAST USED", "IP", "USER AGENT"]
    assert [row[:3] for row in rows] == [
        [new, str(alice.id), "api"],
        [str(alice.session_id), str(alice.id), "api"],
    ]
    (line,) = run(runner, "list", "--user", "alice", "--limit", "1", "--json").stdout.splitlines()
    assert json.loads(line)["amr"] == ["pwd"]
    row = live_session_row(app, new)
    assert row["idle_expires_at"] < row["expires_at"]
    assert json.loads(line)["expires_at"] == to_rfc3339(row["idle_expires_at"])
    result = run(runner, "list", "--user", "bob")
    assert (result.stdout, result.stderr) == ("", "There is no live session.\n")


@both_databases
def test_revoke_ends_the_sessions_of_one_user(
    app: Flask, runner: FlaskCliRunner, alice: Caller, bob: Caller
) -> None:
    for reference in ("alice", "Alice@Example.com", str(alice.id)):
        login(app.test_client(), "alice")
        result = run(runner, "revoke", "--user", reference)
        assert result.exit_code == 0, result.output
    assert count_sessions(app, user_id=alice.id, revoke_reason="ended_by_admin") == 4
    assert alice.get("/api/v1/users/me").get_json()["code"] == "session_revoked"
    assert bob.get("/api/v1/users/me").status_code == 200
    assert len(audit_trail(app, "session.revoked")) == 3


@both_databases
def test_revoke_ends_what_began_before_a_moment(
    clock: Clock, app: Flask, runner: FlaskCliRunner, alice: Caller
) -> None:
    clock.shift(60)
    new = login(app.test_client(), "alice").get_json()
    for time in ("2030-01-01T12:00:30Z", "2030-01-01T12:00:30"):
        result = run(runner, "revoke", "--issued-before", time, "--yes", "--json")
        assert (result.exit_code, json.loads(result.stdout)) == (
            0,
            {"ended": 1 if time.endswith("Z") else 0},
        )
    assert live_session_row(app, alice.session_id)["revoked_at"] == now()
    assert live_session_row(app, new["session_id"])["revoked_at"] is None


def test_revoke_of_all_users_asks_first(
    clock: Clock, app: Flask, runner: FlaskCliRunner, alice: Caller, bob: Caller
) -> None:
    clock.shift(1)
    result = run(runner, "revoke", input="n\n")
    assert result.exit_code == 1
    assert alice.get("/api/v1/users/me").status_code == 200
    result = run(runner, "revoke", input="y\n")
    assert result.exit_code == 0
    assert result.stdout.endswith("2 sessions ended.\n")
    assert bob.get("/api/v1/users/me").get_json()["code"] == "session_revoked"


def test_revoke_takes_several_users(
    app: Flask, runner: FlaskCliRunner, alice: Caller, bob: Caller, charlie: Caller
) -> None:
    result = run(runner, "revoke", "--user", "-", input="alice\nbob\n")
    assert (result.exit_code, result.stdout) == (1, "")
    result = run(runner, "revoke", "--user", "-", "--yes", input="alice\nbob\n")
    assert (result.exit_code, result.stdout) == (0, "2 sessions ended.\n")
    assert charlie.get("/api/v1/users/me").status_code == 200


def test_an_unknown_user_is_reported_in_one_line(runner: FlaskCliRunner) -> None:
    for reference in ("unknown", "unknown@example.com", "no such name!", "", "0" * 32):
        result = run(runner, "revoke", "--user", reference, "--yes")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == "Error: There is no such user.\n"


def test_an_invalid_time_is_reported(runner: FlaskCliRunner) -> None:
    result = run(runner, "revoke", "--issued-before", "yesterday", "--yes")
    assert result.exit_code == 2
    assert "yesterday" in result.stderr


def test_every_command_has_help_with_an_example(runner: FlaskCliRunner) -> None:
    for command in ("list", "purge", "revoke"):
        result = run(runner, command, "--help")
        assert result.exit_code == 0
        assert f"flask sessions {command}" in result.stdout
