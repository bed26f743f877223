"""`flask keys`."""

import json
from collections.abc import Callable

from flask import Flask
from flask.testing import FlaskCliRunner

from authserve.audit.seal import seal_events
from authserve.core.clock import now
from tests.support.clients import register_caller
from tests.support.factors import give_totp
from tests.support.keys import kids
from tests.support.problems import assert_problem
from tests.support.second_steps import first_step, second_step
from tests.support.tables import read_table
from tests.support.totp import code_at

OTHER_SECRET = "another secret for tests alone, 98765"


def listed(runner: FlaskCliRunner) -> list[dict[str, str]]:
    result = runner.invoke(args=["keys", "list", "--json"])
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_list_shows_every_key_newest_first(app: Flask, runner: FlaskCliRunner) -> None:
    (old,) = kids(app)
    assert runner.invoke(args=["keys", "rotate"]).exit_code == 0
    keys = listed(runner)
    assert [(key["kid"] == old, key["state"]) for key in keys] == [
        (False, "published"),
        (True, "active"),
    ]
    assert list(keys[0]) == [
        "kid",
        "algorithm",
        "state",
        "published_at",
        "active_from",
        "retire_at",
    ]
    assert keys[0]["retire_at"] is None
    assert keys[1]["retire_at"] > keys[0]["active_from"]

    plain = runner.invoke(args=["keys", "list"])
    assert read_table(plain.stdout) == [
        ["KID", "ALG", "STATE", "PUBLISHED", "SIGNS FROM", "RETIRES"],
        *([value or "-" for value in key.values()] for key in keys),
    ]


def test_list_reports_when_there_is_no_key_yet(runner: FlaskCliRunner) -> None:
    result = runner.invoke(args=["keys", "list"])
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("There is no key yet")


def test_rotate_prints_which_key_signs_from_when(app: Flask, runner: FlaskCliRunner) -> None:
    kids(app)
    first = runner.invoke(args=["keys", "rotate"])
    new = listed(runner)[0]
    assert (first.exit_code, first.stderr) == (0, "")
    assert first.stdout == f"{new['kid']} is created, and signs from {new['active_from']}.\n"

    again = runner.invoke(args=["keys", "rotate"])
    assert again.exit_code == 0
    assert (
        again.stdout == f"{new['kid']} was created already, and signs from {new['active_from']}.\n"
    )
    assert len(listed(runner)) == 2


def test_rotate_in_an_emergency_retires_every_older_key(app: Flask, runner: FlaskCliRunner) -> None:
    kids(app)
    runner.invoke(args=["keys", "rotate"])
    result = runner.invoke(args=["keys", "rotate", "--emergency"])
    keys = listed(runner)
    assert result.exit_code == 0
    assert result.stdout == (f"{keys[0]['kid']} signs now; tokens of older keys are rejected.\n")
    assert [key["state"] for key in keys] == ["active", "retired", "retired"]


def test_rewrap_reports_how_many_keys_it_encrypted(app: Flask, runner: FlaskCliRunner) -> None:
    kids(app)
    result = runner.invoke(args=["keys", "rewrap"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "1 key, 0 TOTP secrets and 0 provider secrets encrypted under the current SECRET_KEY.\n"
    )
    runner.invoke(args=["keys", "rotate"])
    assert runner.invoke(args=["keys", "rewrap"]).stdout.startswith("2 keys, 0 ")


def test_rewrap_under_a_wrong_secret_names_the_remedy(
    app: Flask, make_app: Callable[..., Flask]
) -> None:
    kids(app)
    wrong = make_app(secret_key=OTHER_SECRET).test_cli_runner(capture="fd")
    result = wrong.invoke(args=["keys", "rewrap"])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        "Error: Nothing was changed: a signing key does not open: put the former SECRET_KEY into "
        "SECRET_KEY_FALLBACKS, or run: flask keys rotate --emergency\n"
    )


def test_an_unknown_option_is_refused(runner: FlaskCliRunner) -> None:
    result = runner.invoke(args=["keys", "rotate", "--urgent"])
    assert result.exit_code == 2
    assert "No such option" in result.stderr


def test_a_secret_that_others_know_can_go_at_once(make_app: Callable[..., Flask]) -> None:
    """By the steps of docs/operating.md, which end what was signed with it."""
    before = make_app()
    alice = register_caller(before, "alice")
    secret = give_totp(before, alice.id)
    with before.app_context():
        list(seal_events())
    during = make_app(secret_key=OTHER_SECRET, secret_key_fallbacks=(before.config["SECRET_KEY"],))
    for command in ("audit verify", "keys rewrap", "audit rewrap", "keys rotate --emergency"):
        result = during.test_cli_runner().invoke(args=command.split())
        assert result.exit_code == 0, result.output
    after = make_app(secret_key=OTHER_SECRET)
    client = after.test_client()
    body = {"refresh_token": alice.tokens["refresh_token"]}
    assert_problem(client.post("/api/v1/auth/refresh", json=body), 401, "invalid_token")
    headers = {"Authorization": f"Bearer {alice.tokens['access_token']}"}
    assert_problem(client.get("/api/v1/users/me", headers=headers), 401, "invalid_token")
    token = first_step(client, "alice")
    assert second_step(client, token, totp_code=code_at(secret, now())).status_code == 200
    assert after.test_cli_runner().invoke(args=["audit", "verify"]).exit_code == 0
