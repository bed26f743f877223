"""Calls with an API key: what a key opens, and what no key opens."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import time_machine
from flask import Flask

from authserve.core.key_text import new_key_text
from authserve.core.levels import Level
from authserve.ratelimit.policy import UNKNOWN_API_KEYS
from authserve.rbac.policy import Permission
from tests.apikeys.conftest import OWN, MakeKey, Program
from tests.http.test_cost import statements_of_sqlite
from tests.oidc.test_limits import exceed
from tests.support.api_keys import give_api_key
from tests.support.clients import Caller, register_caller
from tests.support.operations import API_FEATURES, read_operations
from tests.support.rows import audit_trail, change_role, change_session, change_user

API = "/api/v1"

OPEN = {
    # The four calls that `account` opens (design).
    "GET /users/me",
    "PATCH /users/me",
    "GET /users/me/sessions",
    "GET /users/me/events",
    # What permissions open, but for what needs a fresh token or is about keys.
    "GET /audit-events",
    "GET /client-address",
    "GET /clients",
    "GET /clients/{client_id}",
    "GET /clients/{client_id}/status",
    "GET /identity-providers",
    "GET /identity-providers/{slug}",
    "GET /roles",
    "GET /roles/{name}",
    "GET /users",
    "GET /users/{user_id}",
    "GET /users/{user_id}/factors",
    "GET /users/{user_id}/identities",
    "GET /users/{user_id}/sessions",
    "GET /users/{user_id}/sign-in-status",
    "POST /api-keys/verify",
    "POST /auth/introspect",
    "POST /users",
    "POST /users/{user_id}/invitation",
    "DELETE /users/{user_id}/sessions",
}
"""The only calls that a key with every scope may make, if its owner holds everything."""


def refusal(answer: object) -> tuple[int, str]:
    """Return the status and the code of a refusal."""
    return answer.status_code, answer.get_json()["code"]  # type: ignore[attr-defined]


def test_account_opens_four_calls_and_is_the_owners_deed(
    app: Flask, alice: Caller, make_key: MakeKey
) -> None:
    program = make_key(alice)
    assert program.get(f"{API}/users/me").get_json()["id"] == str(alice.id)
    (session,) = program.get(f"{API}/users/me/sessions").get_json()["items"]
    assert session["current"] is False
    renamed = program.call("PATCH", f"{API}/users/me", json={"display_name": "Ada"})
    assert renamed.get_json()["display_name"] == "Ada"
    (event,) = audit_trail(app, "user.profile_changed")
    assert event["details"]["api_key_id"] == str(program.id)
    assert program.get(f"{API}/users/me/events").status_code == 200


def test_a_key_with_every_scope_opens_these_calls_and_no_other(
    make_app: Callable[..., Flask],
) -> None:
    """Its owner is an administrator; calls of the own account and fresh ones stay closed."""
    app = make_app(features=API_FEATURES)
    admin = register_caller(app, "admin", roles=("admin",))
    key_id, key = give_api_key(app, admin.id, "account", *Permission)
    program, opened = Program(app, UUID(key_id), key), set()
    for operation in read_operations(app):
        # Signing out takes tokens of sessions alone, and refuses others itself.
        if operation.security != [{"accessToken": []}]:
            continue
        path = operation.path.format(**dict.fromkeys(operation.path_parameters, key_id))
        answer = program.call(operation.method, path, json=operation.example or None)
        assert answer.status_code < 500, operation
        if answer.status_code == 403 and answer.get_json()["code"] == "insufficient_scope":
            assert answer.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope"'
        else:
            opened.add(f"{operation.method} {operation.path.removeprefix(API)}")
    assert opened == OPEN


def test_a_permission_opens_its_calls_while_the_owner_holds_it(
    app: Flask, admin: Caller, alice: Caller, make_key: MakeKey
) -> None:
    program = make_key(admin, "users:read")
    assert program.get(f"{API}/users/{alice.id}").status_code == 200
    assert refusal(program.get(f"{API}/roles")) == (403, "insufficient_permissions")
    assert refusal(program.get(f"{API}/users/me")) == (403, "insufficient_scope")
    change_role(app, "admin", requires_mfa=True)
    assert program.get(f"{API}/users/{alice.id}").status_code == 403
    change_role(app, "admin", requires_mfa=False)
    assert program.get(f"{API}/users/{alice.id}").status_code == 200


def test_roles_that_need_two_factors_count_for_keys_made_with_two(
    app: Flask, admin: Caller, alice: Caller, make_key: MakeKey
) -> None:
    change_role(app, "admin", requires_mfa=True)
    change_session(app, admin.session_id, aal=Level.AAL2)
    program = make_key(admin, "users:read")
    assert program.get(f"{API}/users/{alice.id}").status_code == 200
    # What the account needs of its sessions is not asked of keys.
    change_user(app, admin.id, mfa_enabled=True)
    weak = make_key(admin, "account")
    assert weak.get(f"{API}/users/me").status_code == 200


def test_a_key_ends_at_once(
    clock: time_machine.Traveller, app: Flask, alice: Caller, make_key: MakeKey
) -> None:
    program = make_key(alice, expires_in=timedelta(hours=1))
    change_user(app, alice.id, is_active=False)
    assert refusal(program.get(f"{API}/users/me")) == (401, "invalid_token")
    change_user(app, alice.id, is_active=True)
    assert program.get(f"{API}/users/me").status_code == 200
    gone = make_key(alice)
    assert alice.delete(f"{OWN}/{gone.id}").status_code == 204
    assert refusal(gone.get(f"{API}/users/me")) == (401, "invalid_token")
    clock.shift(3_600)
    assert refusal(program.get(f"{API}/users/me")) == (401, "token_expired")


def test_its_use_is_written_once_a_minute(
    clock: time_machine.Traveller, alice: Caller, make_key: MakeKey
) -> None:
    program = make_key(alice)
    used = []
    for seconds in (0, 59, 1):
        clock.shift(seconds)
        program.get(f"{API}/users/me", environ_base={"REMOTE_ADDR": "192.0.2.9"})
        (listed,) = alice.get(OWN).get_json()["items"]
        used.append(listed["last_used_at"])
    assert listed["last_used_ip"] == "192.0.2.9"
    assert used[0] == used[1] != used[2]


def test_a_call_costs_one_statement_and_a_mistyped_key_none(
    app: Flask, alice: Caller, make_key: MakeKey
) -> None:
    program = make_key(alice)
    program.get(f"{API}/users/me")
    with statements_of_sqlite() as heard:
        assert program.get(f"{API}/users/me").status_code == 200
    assert [text.partition(" ")[0] for text in heard] == ["SELECT"]
    wrong = Program(app, program.id, program.key[:-1] + ("a" if program.key[-1] != "a" else "b"))
    with statements_of_sqlite() as heard:
        assert refusal(wrong.get(f"{API}/users/me")) == (401, "invalid_token")
    assert heard == []


def test_unknown_keys_are_limited_and_good_ones_are_not(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("api-keys",), ratelimit_enabled=True)
    alice = register_caller(app, "alice")
    unknown = Program(app, alice.id, new_key_text("ask_"))
    answer = exceed(UNKNOWN_API_KEYS, lambda: unknown.get(f"{API}/users/me"))
    assert refusal(answer) == (429, "rate_limited")
    _id, key = give_api_key(app, alice.id)
    assert Program(app, alice.id, key).get(f"{API}/users/me").status_code == 200
    mistyped = Program(app, alice.id, key[:-1] + "!")
    assert mistyped.get(f"{API}/users/me").status_code == 401


def test_without_the_feature_a_key_is_no_token(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=())
    alice = register_caller(app, "alice")
    _id, key = give_api_key(app, alice.id)
    answer = Program(app, alice.id, key).get(f"{API}/users/me")
    assert refusal(answer) == (401, "invalid_token")
    assert alice.get(OWN).status_code == 404
