"""`flask api-keys`, and what `flask doctor` reports."""

import json
from datetime import timedelta

import time_machine
from flask import Flask
from flask.testing import FlaskCliRunner

from authserve.core.clock import now, to_rfc3339
from authserve.core.findings import Level
from authserve.health.api_key_checks import UNUSED, check_api_keys
from authserve.health.report import FEATURE_DATA_CHECKS
from authserve.settings.model import SETTINGS
from tests.apikeys.conftest import MakeKey
from tests.support.audit import all_events
from tests.support.clients import Caller
from tests.support.rows import audit_trail


def run(runner: FlaskCliRunner, *args: str) -> str:
    """Run a command that succeeds, and return its output."""
    result = runner.invoke(args=["api-keys", *args])
    assert result.exit_code == 0, result.output
    return result.output


def test_an_operator_lists_and_revokes_keys(
    app: Flask, runner: FlaskCliRunner, alice: Caller, make_key: MakeKey
) -> None:
    first, second = make_key(alice), make_key(alice)
    listed = [json.loads(line) for line in run(runner, "list", "alice", "--json").splitlines()]
    assert [row["id"] for row in listed] == [str(second.id), str(first.id)]
    assert first.key not in json.dumps(listed)
    run(runner, "revoke", "alice", "--key", str(first.id))
    assert "1 API keys of alice@example.com" in run(runner, "revoke", "alice")
    assert "There is no API key." in run(runner, "list", "alice")
    events = audit_trail(app, "api_key.revoked")
    assert [event["details"] for event in events] == [{"key_id": str(first.id)}, {"count": 1}]
    again = runner.invoke(args=["api-keys", "revoke", "alice", "--key", str(first.id)])
    assert again.exit_code == 1
    with app.app_context():
        agents = {event.user_agent for event in all_events("api_key.revoked")}
    assert agents == {"flask api-keys revoke"}
    for users in (("-",), ("alice", "bob")):
        wrong = runner.invoke(args=["api-keys", "revoke", *users, "--key", str(first.id)])
        assert (wrong.exit_code, "Name one user with --key." in wrong.output) == (2, True)


def test_an_operator_revokes_keys_from_before_a_restore(
    clock: time_machine.Traveller,
    app: Flask,
    runner: FlaskCliRunner,
    make_key: MakeKey,
    alice: Caller,
) -> None:
    """Those that were revoked after the backup are good again."""
    before = make_key(alice)
    clock.shift(60)
    restored_at = to_rfc3339(now())
    after = make_key(alice)
    made_before = ("revoke", "--made-before", restored_at)
    for wrong in (made_before, ("revoke",), (*made_before, "alice")):
        assert runner.invoke(args=["api-keys", *wrong]).exit_code != 0, wrong
    assert "1 API keys are revoked." in run(runner, *made_before, "--yes")
    assert before.get("/api/v1/users/me").status_code == 401
    assert after.get("/api/v1/users/me").status_code == 200
    (event,) = audit_trail(app, "api_key.revoked")
    assert event["details"] == {"count": 1, "made_before": restored_at}


def test_the_doctor_knows_of_forgotten_keys(
    clock: time_machine.Traveller, app: Flask, alice: Caller, make_key: MakeKey
) -> None:
    make_key(alice, expires_in=timedelta(days=365))
    with app.app_context():
        settings = SETTINGS.get()
        assert check_api_keys in FEATURE_DATA_CHECKS.get()
        assert check_api_keys(settings).level is Level.OK
        clock.shift(UNUSED)
        assert check_api_keys(settings).level is Level.OK
        clock.shift(timedelta(seconds=1))
        found = check_api_keys(settings)
    assert (found.level, found.message.startswith("1 of 1 API keys")) == (Level.WARNING, True)
