"""The sign-in status of users who need second factors."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskCliRunner

from authserve.admin.cli_sign_in import _failure, _mail
from authserve.audit.read import RecordedFailure
from authserve.core.clock import now, to_rfc3339
from authserve.settings.model import Mfa
from authserve.users.credentials import MAX_FAILED_SECOND_FACTORS
from tests.support.clients import Caller
from tests.support.factors import give_recovery_codes, give_totp, switch_mfa_on
from tests.support.marks import both_databases
from tests.support.passkeys import change_passkey, give_passkey
from tests.support.rows import change_user
from tests.support.second_steps import first_step, second_step, wrong_code

Clock = time_machine.Traveller


def read(caller: Caller, user: Caller) -> dict[str, Any]:
    status: dict[str, Any] = caller.get(f"/api/v1/users/{user.id}/sign-in-status").get_json()
    return status


def judge(caller: Caller, user: Caller) -> tuple[bool, list[str]]:
    """Return if the user can sign in, and the reasons beside it."""
    status = read(caller, user)
    return status["can_sign_in"], status["reasons"]


def test_an_account_of_one_factor_has_no_reason(admin: Caller, alice: Caller) -> None:
    assert read(admin, alice)["mfa"] == {
        "enabled": False,
        "required": False,
        "methods": [],
        "recovery_codes_left": 0,
        "throttled_until": None,
        "reset_at": None,
    }
    assert judge(admin, alice) == (True, [])


def test_an_account_that_must_enrol_still_can_sign_in(
    app: Flask, admin: Caller, alice: Caller
) -> None:
    switch_mfa_on(app, alice.id)
    assert judge(admin, alice) == (True, ["mfa_enrollment_required"])
    give_totp(app, alice.id)
    give_recovery_codes(app, alice.id, count=3)
    assert judge(admin, alice) == (True, [])
    mfa = read(admin, alice)["mfa"]
    assert (mfa["methods"], mfa["recovery_codes_left"]) == (["totp", "recovery_code"], 3)


def test_the_settings_ask_every_account(
    make_app: Callable[..., Flask], admin: Caller, alice: Caller, runner: FlaskCliRunner
) -> None:
    app = make_app(mfa=Mfa.REQUIRED)
    shown = app.test_cli_runner(capture="fd").invoke(args=["users", "why", "alice"]).stdout
    assert "alice@example.com can sign in:\n- The account needs a second factor" in shown


def test_flagged_and_foreign_passkeys_are_no_usable_factor(
    app: Flask, admin: Caller, alice: Caller
) -> None:
    switch_mfa_on(app, alice.id)
    key = give_passkey(app, alice.id)
    assert judge(admin, alice) == (True, [])
    change_passkey(app, key, rp_id="old.example")
    assert judge(admin, alice) == (False, ["no_usable_factor"])
    change_passkey(app, key, rp_id="localhost", flagged_at=now())
    assert judge(admin, alice) == (False, ["no_usable_factor"])
    give_recovery_codes(app, alice.id)
    assert judge(admin, alice) == (True, [])


@both_databases
def test_wrong_second_factors_block_and_are_listed(
    clock: Clock, app: Flask, admin: Caller, alice: Caller
) -> None:
    secret = give_totp(app, alice.id)
    client = app.test_client()
    token = first_step(client, "alice")
    for _ in range(5):
        second_step(client, token, totp_code=wrong_code(secret))
    assert judge(admin, alice) == (False, ["second_factor_throttled"])
    status = read(admin, alice)
    assert status["mfa"]["throttled_until"] == to_rfc3339(now() + timedelta(seconds=30))
    assert [failure["reason"] for failure in status["last_failures"]] == ["wrong_code"] * 5
    clock.shift(31)
    assert judge(admin, alice) == (True, [])


@pytest.mark.parametrize(("failures", "is_off"), [(0, False), (-1, False), (1, True)])
def test_switched_off_codes_leave_the_other_methods(
    app: Flask, admin: Caller, alice: Caller, failures: int, is_off: bool
) -> None:
    give_totp(app, alice.id)
    limit = MAX_FAILED_SECOND_FACTORS
    count = {0: 0, -1: limit - 1, 1: limit}[failures]
    change_user(app, alice.id, failed_second_factors=count)
    if not is_off:
        assert judge(admin, alice) == (True, [])
        return
    assert judge(admin, alice) == (False, ["no_usable_factor", "second_factor_switched_off"])
    give_passkey(app, alice.id)
    assert judge(admin, alice) == (True, ["second_factor_switched_off"])
    assert read(admin, alice)["mfa"]["methods"] == ["passkey"]


def test_without_an_app_no_codes_are_switched_off(app: Flask, admin: Caller, alice: Caller) -> None:
    switch_mfa_on(app, alice.id)
    give_passkey(app, alice.id)
    change_user(app, alice.id, failed_second_factors=MAX_FAILED_SECOND_FACTORS)
    assert judge(admin, alice) == (True, [])


def test_the_command_says_what_it_knows_of_failures_and_mails() -> None:
    at = datetime(2026, 11, 28, tzinfo=UTC)
    known = RecordedFailure(at=at, reason="wrong_password", correlation_id="one", ip="192.0.2.1")
    bare = RecordedFailure(at=at, reason=None, correlation_id=None, ip=None)
    time = "2026-11-28T00:00:00Z"
    assert [_failure(each) for each in (known, bare)] == [
        f"{time} wrong password, from 192.0.2.1, request one",
        f"{time} reason unknown, from an unknown address, request -",
    ]
    mail = SimpleNamespace(created_at=at, kind="new", state="dead", attempts=3, last_error="away")
    assert _mail(mail) == f"{time} new, dead, attempts: 3: away"
    mail.last_error = None
    assert _mail(mail) == f"{time} new, dead, attempts: 3"


def test_a_pending_reset_is_a_reason_and_no_obstacle(
    clock: Clock, app: Flask, runner: FlaskCliRunner, admin: Caller, alice: Caller
) -> None:
    due = now() + timedelta(days=1)
    change_user(app, alice.id, mfa_reset_at=due)
    assert judge(admin, alice) == (True, ["mfa_reset_pending"])
    assert read(admin, alice)["mfa"]["reset_at"] == to_rfc3339(due)
    shown = runner.invoke(args=["users", "why", "alice"]).stdout
    assert f"- A reset removes the second factors at {to_rfc3339(due)}" in shown


def test_a_password_is_missed_only_where_nothing_else_opens_the_account(
    make_app: Callable[..., Flask], app: Flask, admin: Caller, alice: Caller
) -> None:
    change_user(app, alice.id, password_hash=None, email_verified=True)
    by_mail = Caller(make_app(email_sign_in=True).test_client(), admin.user, admin.tokens)
    admin = Caller(make_app(email_sign_in=False).test_client(), admin.user, admin.tokens)
    assert judge(admin, alice) == (False, ["no_password"])
    assert judge(by_mail, alice) == (True, [])
    change_user(app, alice.id, email_verified=False)
    assert judge(by_mail, alice) == (False, ["no_password"])
    change_user(app, alice.id, email_verified=True, mfa_enabled=True)
    give_totp(app, alice.id)
    assert judge(by_mail, alice) == (False, ["no_password"])
    key = give_passkey(app, alice.id)
    assert judge(admin, alice) == (True, [])
    change_passkey(app, key, flagged_at=now())
    assert judge(admin, alice)[0] is False
