"""The second factors of a user, as administrators and operators see them."""

import json
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskCliRunner

from authserve.core.clock import now, to_rfc3339
from tests.support.clients import Caller, register_caller
from tests.support.factors import give_recovery_codes, give_totp
from tests.support.passkeys import change_passkey, give_passkey, passkey_row
from tests.support.problems import assert_problem
from tests.support.rows import change_user
from tests.support.totp import code_at

Clock = time_machine.Traveller


def read(caller: Caller, user: Caller) -> Any:
    return caller.get(f"/api/v1/users/{user.id}/factors")


@pytest.fixture
def owner(clock: Clock, app: Flask, alice: Caller) -> tuple[Caller, list[str]]:
    """Alice with a factor of each kind and a pending reset, and texts that nothing may show."""
    secret = give_totp(app, alice.id)
    key = give_passkey(app, alice.id, name="Phone")
    codes = give_recovery_codes(app, alice.id, count=2)
    change_user(app, alice.id, mfa_reset_at=now() + timedelta(days=1))
    row = passkey_row(app, key)
    secrets = [secret.hex(), row["public_key"].hex(), row["credential_id"].hex(), *codes]
    return alice, [*secrets, code_at(secret, now())]


def test_it_shows_kinds_names_and_times_and_no_secret(
    clock: Clock, admin: Caller, owner: tuple[Caller, list[str]]
) -> None:
    alice, secrets = owner
    response = read(admin, alice)
    found = response.get_json()
    assert response.status_code == 200
    assert found == {
        "enabled": True,
        "required": False,
        "methods": ["passkey", "totp", "recovery_code"],
        "totp": {"created_at": to_rfc3339(now()), "last_used_at": None},
        "passkeys": [
            {
                "id": found["passkeys"][0]["id"],
                "name": "Phone",
                "created_at": to_rfc3339(now()),
                "last_used_at": None,
                "synced": False,
                "aaguid": found["passkeys"][0]["aaguid"],
                "rp_id": "localhost",
                "usable": True,
                "clone_suspected": False,
            }
        ],
        "recovery_codes_left": 2,
        "reset_at": to_rfc3339(now() + timedelta(days=1)),
    }
    assert not [secret for secret in secrets if secret in response.get_data(as_text=True)]


def test_an_account_without_factors_has_none(admin: Caller, alice: Caller) -> None:
    found = read(admin, alice).get_json()
    assert (found["enabled"], found["totp"], found["passkeys"]) == (False, None, [])
    assert (found["methods"], found["recovery_codes_left"], found["reset_at"]) == ([], 0, None)


def test_it_needs_the_permission_to_read_accounts(
    app: Flask, admin: Caller, alice: Caller, charlie: Caller
) -> None:
    assert_problem(read(charlie, alice), 403, "insufficient_permissions")
    admin.post("/api/v1/roles", json={"name": "reader", "permissions": ["users:read"]})
    reader = register_caller(app, "reader", roles=("reader",))
    assert read(reader, alice).status_code == 200


def test_the_command_shows_them(
    app: Flask, runner: FlaskCliRunner, owner: tuple[Caller, list[str]]
) -> None:
    alice, _ = owner
    change_passkey(app, give_passkey(app, alice.id, name="Old"), rp_id="old.example")
    change_passkey(app, give_passkey(app, alice.id, name="Copied"), flagged_at=now())
    time, later = to_rfc3339(now()), to_rfc3339(now() + timedelta(days=1))
    added = f"added {time}, never used"
    shown = runner.invoke(args=["users", "factors", "alice"]).stdout
    assert shown.splitlines() == [
        "alice@example.com needs a second factor to sign in.",
        f"- authenticator app, {added}",
        f'- passkey "Copied" of localhost, {added} (refused: it may be a clone)',
        f'- passkey "Old" of old.example, {added} (unusable: PASSKEY_RP_ID is another)',
        f'- passkey "Phone" of localhost, {added}',
        "Recovery codes left: 2.",
        f"A reset removes them all at {later}.",
    ]
    document = json.loads(runner.invoke(args=["users", "factors", "alice", "--json"]).stdout)
    assert (document["email"], document["enabled"]) == ("alice@example.com", True)
    assert [passkey["usable"] for passkey in document["passkeys"]] == [False, False, True]


def test_the_command_shows_an_account_without_factors(
    runner: FlaskCliRunner, alice: Caller
) -> None:
    assert runner.invoke(args=["users", "factors", "alice"]).stdout.splitlines() == [
        "alice@example.com does not need a second factor to sign in.",
        "Recovery codes left: 0.",
    ]
