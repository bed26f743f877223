"""The level of a session, at every token check and refresh, and roles that need `aal2`."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine
from flask import Flask
from werkzeug.test import TestResponse

from authserve.core.clock import now
from authserve.core.levels import Level
from authserve.settings.model import Mfa
from tests.support.clients import PASSWORD, Caller, register_caller
from tests.support.factors import raise_caller
from tests.support.marks import both_databases
from tests.support.operations import API_FEATURES, Operation, read_operations
from tests.support.problems import assert_problem
from tests.support.rows import change_role, change_session, change_user, live_session_row
from tests.support.tokens import claims_of

Clock = time_machine.Traveller

API = "/api/v1"
ME = f"{API}/users/me"
SESSIONS = f"{ME}/sessions"
ROLES = f"{API}/roles"

STEP_UP = 'Bearer error="insufficient_user_authentication", acr_values="aal2"'
FRESH_TTL = 300
"""The default of `FRESH_TTL`, in seconds."""

GRACE = 10
"""The default of `REFRESH_REUSE_GRACE`, in seconds."""

ANY_LEVEL = {
    "GET /api/v1/users/me",
    "POST /api/v1/auth/logout",
    "POST /api/v1/auth/logout-all",
    "POST /api/v1/auth/reauthenticate",
    "POST /api/v1/auth/reauthenticate/passkey-options",
    "GET /api/v1/users/me/mfa",
    "POST /api/v1/users/me/mfa/totp",
    "POST /api/v1/users/me/mfa/totp/confirm",
    "POST /api/v1/users/me/passkeys/options",
    "POST /api/v1/users/me/passkeys",
}
"""The only calls that a session below its account's need may make: a longer list would be a way
around the second factor."""


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with every call of the API."""
    return make_app(features=API_FEATURES)


def switch_mfa_on(app: Flask, caller: Caller) -> None:
    """Let the caller's account need two factors."""
    change_user(app, caller.id, mfa_enabled=True)


def raise_to(app: Flask, caller: Caller, level: Level) -> None:
    """Raise the caller's session, as a step-up does, and give the caller a fresh token of it."""
    raise_caller(app, caller, level)


def assert_step_up(response: TestResponse, *, max_age: int | None = None) -> None:
    """Check that a call asks for a second factor (RFC 9470 §3), and perhaps for a recent one."""
    assert_problem(response, 401, "step_up_required")
    challenge = STEP_UP if max_age is None else f"{STEP_UP}, max_age={max_age}"
    assert response.headers.getlist("WWW-Authenticate") == [challenge]


def refresh(caller: Caller, token: str | None = None) -> TestResponse:
    body = {"refresh_token": token or caller.tokens["refresh_token"]}
    response: TestResponse = caller.client.post(f"{API}/auth/refresh", json=body)
    return response


def stale(caller: Caller) -> Caller:
    """The caller with an access token that is not fresh, by a refresh."""
    tokens = refresh(caller).get_json()
    return Caller(caller.client, caller.user, {**caller.tokens, **tokens})


# The check on every request


def test_a_session_below_its_need_is_refused(app: Flask, alice: Caller) -> None:
    assert alice.get(SESSIONS).status_code == 200
    switch_mfa_on(app, alice)
    assert_step_up(alice.get(SESSIONS))
    for level in (Level.AAL2, Level.PHR):
        raise_to(app, alice, level)
        assert alice.get(SESSIONS).status_code == 200


def test_every_call_with_a_token_is_refused_but_for_those_at_any_level(
    app: Flask, admin: Caller, subtests: pytest.Subtests
) -> None:
    """The caller holds every permission, and a token that is fresh."""
    switch_mfa_on(app, admin)
    for operation in read_operations(app):
        if not is_with_access_token(operation) or str(operation) in ANY_LEVEL:
            continue
        with subtests.test(str(operation)):
            assert_step_up(call(admin, operation))


def is_with_access_token(operation: Operation) -> bool:
    """Return True if a call takes an access token."""
    return any("accessToken" in requirement for requirement in operation.security)


def call(caller: Caller, operation: Operation) -> TestResponse:
    """Make a call that is complete but for what its path names."""
    names = dict.fromkeys(operation.path_parameters, str(UUID(int=0)))
    path = operation.path.format(**names)
    body = operation.example or None
    return caller.call(operation.method, path, json=body)


def test_a_session_below_its_need_can_read_its_account_step_up_and_sign_out(
    app: Flask, alice: Caller
) -> None:
    switch_mfa_on(app, alice)
    assert alice.get(ME).status_code == 200
    reauthenticated = alice.post(f"{API}/auth/reauthenticate", json={"password": PASSWORD})
    assert reauthenticated.status_code == 200
    assert alice.post(f"{API}/auth/logout").status_code == 204
    assert_problem(alice.get(ME), 401, "session_revoked")


def test_a_session_below_its_need_can_end_all_sessions(app: Flask, alice: Caller) -> None:
    switch_mfa_on(app, alice)
    assert alice.post(f"{API}/auth/logout-all").status_code == 204
    assert_problem(alice.get(ME), 401, "session_revoked")


def under(app: Flask, caller: Caller) -> Caller:
    """The caller at an application with other settings."""
    return Caller(app.test_client(), caller.user, caller.tokens)


@pytest.mark.parametrize(
    ("mfa", "enroll_by_secs", "is_enough"),
    [
        (Mfa.REQUIRED, None, False),
        (Mfa.REQUIRED, -1, False),
        (Mfa.REQUIRED, 0, False),
        (Mfa.REQUIRED, 1, True),
        (Mfa.OPTIONAL, None, True),
        (Mfa.OFF, None, True),
    ],
)
@both_databases
def test_the_settings_ask_every_account(
    clock: Clock,
    make_app: Callable[..., Flask],
    alice: Caller,
    mfa: Mfa,
    enroll_by_secs: int | None,
    is_enough: bool,
) -> None:
    seconds = enroll_by_secs
    enroll_by = None if seconds is None else now() + timedelta(seconds=seconds)
    caller = under(make_app(mfa=mfa, mfa_enroll_by=enroll_by), alice)
    answers = [caller.get(SESSIONS), refresh(caller)]
    for response in answers:
        if is_enough:
            assert response.status_code == 200
        else:
            assert_step_up(response)
    assert caller.get(ME).status_code == 200


def test_an_account_with_mfa_is_asked_whatever_the_settings_say(
    make_app: Callable[..., Flask], app: Flask, alice: Caller
) -> None:
    switch_mfa_on(app, alice)
    ahead = now() + timedelta(days=1)
    for changes in ({"mfa": Mfa.OFF}, {"mfa": Mfa.REQUIRED, "mfa_enroll_by": ahead}):
        caller = under(make_app(**changes), alice)
        assert_step_up(caller.get(SESSIONS))
        assert_step_up(refresh(caller))


def test_the_row_decides_and_not_the_claim(app: Flask, alice: Caller) -> None:
    """A token says `aal1` until it expires, also after a step-up; the row is read at each check."""
    switch_mfa_on(app, alice)
    change_session(app, alice.session_id, aal=Level.AAL2)
    assert claims_of(alice.tokens["access_token"])["acr"] == "aal1"
    assert alice.get(SESSIONS).status_code == 200


def test_other_services_learn_that_the_token_is_not_active(
    app: Flask, admin: Caller, alice: Caller
) -> None:
    body = {"token": alice.tokens["access_token"]}
    path = f"{API}/auth/introspect"
    assert admin.post(path, json=body).get_json()["acr"] == "aal1"
    switch_mfa_on(app, alice)
    assert admin.post(path, json=body).get_json() == {"active": False}
    raise_to(app, alice, Level.PHR)
    answer = admin.post(path, json=body).get_json()
    assert (answer["active"], answer["acr"]) == (True, "phr")


# Refresh


def refresh_state(app: Flask, caller: Caller) -> dict[str, Any]:
    """Return the columns that a refresh or the end of a session would change."""
    row = live_session_row(app, caller.session_id)
    names = ("generation", "rotated_at", "last_used_at", "idle_expires_at", "revoked_at", "aal")
    return {name: row[name] for name in names}


@both_databases
def test_a_refresh_below_the_need_spends_and_ends_nothing(
    clock: Clock, app: Flask, alice: Caller
) -> None:
    switch_mfa_on(app, alice)
    clock.shift(60)
    before = refresh_state(app, alice)
    for _ in range(2):
        assert_step_up(refresh(alice))
    assert refresh_state(app, alice) == before
    raise_to(app, alice, Level.AAL2)
    tokens = refresh(alice).get_json()
    assert claims_of(tokens["access_token"])["acr"] == "aal2"


@both_databases
def test_neither_generation_is_answered_within_the_grace_below_the_need(
    clock: Clock, app: Flask, alice: Caller
) -> None:
    previous = alice.tokens["refresh_token"]
    current = refresh(alice).get_json()["refresh_token"]
    switch_mfa_on(app, alice)
    clock.shift(GRACE / 2)
    before = refresh_state(app, alice)
    for token in (previous, current):
        assert_step_up(refresh(alice, token))
    assert refresh_state(app, alice) == before
    raise_to(app, alice, Level.AAL2)
    for token in (previous, current):
        tokens = refresh(alice, token).get_json()
        assert claims_of(tokens["access_token"])["acr"] == "aal2"


@both_databases
def test_a_session_below_its_need_still_ends_for_the_usual_reasons(
    clock: Clock, app: Flask, alice: Caller, bob: Caller, charlie: Caller
) -> None:
    """Clients sign out on these codes alone, so none may turn into a step-up."""
    current = refresh(alice).get_json()["refresh_token"]
    for caller in (alice, bob, charlie):
        switch_mfa_on(app, caller)
    bob.post(f"{API}/auth/logout")
    change_session(app, charlie.session_id, idle_expires_at=now() - timedelta(seconds=1))
    clock.shift(GRACE + 1)
    for token, code in (
        (alice.tokens["refresh_token"], "token_reused"),
        (current, "session_revoked"),
        (bob.tokens["refresh_token"], "session_revoked"),
        (charlie.tokens["refresh_token"], "token_expired"),
        (alice.tokens["access_token"], "invalid_token"),
    ):
        assert_problem(refresh(alice, token), 401, code)


@both_databases
@pytest.mark.parametrize("level", Level)
def test_a_refresh_keeps_the_level(clock: Clock, app: Flask, alice: Caller, level: Level) -> None:
    """A rotation and a retry alike: it neither falls nor rises."""
    raise_to(app, alice, level)
    for _ in range(2):
        tokens = refresh(alice).get_json()
        assert claims_of(tokens["access_token"])["acr"] == level.acr
        assert live_session_row(app, alice.session_id)["aal"] == level


# Roles that need two factors


@pytest.fixture
def auditor(app: Flask, admin: Caller) -> Caller:
    """A user with a role that needs two factors, and one that does not."""
    for name, permissions in (
        ("auditor", ["audit:read", "sessions:read"]),
        ("clerk", ["users:read", "users:write", "roles:write", "sessions:read"]),
    ):
        body = {"name": name, "permissions": permissions}
        assert admin.post(ROLES, json=body).status_code == 201
    change_role(app, "auditor", requires_mfa=True)
    return register_caller(app, "auditor", roles=("auditor", "clerk"))


EVENTS = f"{API}/audit-events"


@both_databases
def test_a_sleeping_role_is_in_no_token_of_a_session_at_aal1(app: Flask, auditor: Caller) -> None:
    """Other services decide by `roles` offline, without knowing of `requires_mfa`."""
    retried = auditor.tokens["refresh_token"]
    for level, expected in (
        (Level.AAL1, ["clerk", "user"]),
        (Level.AAL2, ["auditor", "clerk", "user"]),
        (Level.PHR, ["auditor", "clerk", "user"]),
    ):
        raise_to(app, auditor, level)
        change_session(app, auditor.session_id, rotated_at=None)
        tokens = refresh(auditor).get_json()
        assert claims_of(tokens["access_token"])["roles"] == expected
        again = refresh(auditor, retried).get_json()
        assert claims_of(again["access_token"])["roles"] == expected
        auditor.tokens["refresh_token"] = retried = tokens["refresh_token"]
        # The account shows what it holds.
        held = auditor.get(ME).get_json()["roles"]
        assert held == ["auditor", "clerk", "user"]


def test_a_sign_in_with_a_password_gives_no_sleeping_role(app: Flask, auditor: Caller) -> None:
    again = auditor.post(f"{API}/auth/reauthenticate", json={"password": PASSWORD}).get_json()
    for token in (auditor.tokens["access_token"], again["access_token"]):
        assert claims_of(token)["roles"] == ["clerk", "user"]


def test_a_permission_of_a_sleeping_role_asks_for_a_step_up(app: Flask, auditor: Caller) -> None:
    assert_step_up(auditor.get(EVENTS))
    raise_to(app, auditor, Level.AAL2)
    assert auditor.get(EVENTS).status_code == 200


def test_a_permission_that_no_role_carries_asks_for_none(auditor: Caller) -> None:
    assert_problem(auditor.get(ROLES), 403, "insufficient_permissions")


def test_a_permission_of_another_role_too_is_there(auditor: Caller) -> None:
    assert auditor.get(f"{API}/users/{auditor.id}/sessions").status_code == 200


def test_granting_needs_permissions_that_have_effect(
    app: Flask, auditor: Caller, charlie: Caller
) -> None:
    path, body = f"{API}/users/{charlie.id}/roles", {"roles": ["user", "auditor"]}
    assert_step_up(auditor.put(path, json=body))
    role = {"name": "reader", "permissions": ["audit:read", "users:read"]}
    assert_step_up(auditor.post(ROLES, json=role))
    raise_to(app, auditor, Level.AAL2)
    assert auditor.put(path, json=body).status_code == 200
    assert auditor.post(ROLES, json=role).status_code == 201


def test_a_target_is_protected_by_all_that_its_roles_carry(
    app: Flask, auditor: Caller, charlie: Caller
) -> None:
    """Else a clerk could take the account of an auditor over while the auditor's role sleeps."""
    clerk = register_caller(app, "clerk", roles=("clerk",))
    path = f"{API}/users/{auditor.id}"
    body = {"email": "clerk+2@example.com"}
    assert_problem(clerk.patch(path, json=body), 403, "insufficient_permissions")
    assert clerk.patch(f"{API}/users/{charlie.id}", json=body).status_code == 200


def test_an_administrator_whose_role_sleeps_is_none(
    app: Flask, admin: Caller, auditor: Caller, charlie: Caller
) -> None:
    change_role(app, "admin", requires_mfa=True)
    grant_admin = (f"{API}/users/{charlie.id}/roles", {"roles": ["admin", "user"]})
    assert_step_up(admin.get(f"{API}/users"))
    chief = register_caller(app, "chief", roles=("admin", "clerk"))
    assert chief.get(f"{API}/users").status_code == 200
    assert_step_up(chief.put(grant_admin[0], json=grant_admin[1]))
    # A permission of another service, which administrators alone may grant besides its holders.
    assert_step_up(chief.post(ROLES, json={"name": "seller", "permissions": ["shop:sell"]}))
    raise_to(app, auditor, Level.AAL2)
    refused = auditor.put(grant_admin[0], json=grant_admin[1])
    assert_problem(refused, 403, "insufficient_permissions")
    for caller in (admin, chief):
        raise_to(app, caller, Level.AAL2)
    assert admin.get(f"{API}/users").status_code == 200
    assert chief.put(grant_admin[0], json=grant_admin[1]).status_code == 200


# The order of refusal: permission, level, freshness, state


def test_the_permission_is_refused_first(app: Flask, auditor: Caller) -> None:
    switch_mfa_on(app, auditor)
    stale_auditor = stale_below_need(app, auditor)
    response = stale_auditor.delete(f"{API}/users/{UUID(int=0)}/sessions")
    assert_problem(response, 403, "insufficient_permissions")


def stale_below_need(app: Flask, caller: Caller) -> Caller:
    """The caller with a stale token of a session at `aal1`, whose account needs `aal2`."""
    change_user(app, caller.id, mfa_enabled=False)
    found = stale(caller)
    switch_mfa_on(app, caller)
    return found


def test_level_and_freshness_are_asked_for_at_once(app: Flask, auditor: Caller) -> None:
    """Else a client would step up, only to be asked for a fresh token then."""
    switch_mfa_on(app, auditor)
    gone = f"{API}/users/{UUID(int=0)}"
    assert_step_up(auditor.delete(gone))
    assert_step_up(auditor.delete(ME))
    caller = stale_below_need(app, auditor)
    assert_step_up(caller.delete(gone), max_age=FRESH_TTL)
    assert_step_up(caller.delete(ME), max_age=FRESH_TTL)
    # No freshness is asked for where none is needed.
    assert_step_up(caller.get(f"{API}/users"))


def test_freshness_is_asked_for_before_the_state_is_told(app: Flask, auditor: Caller) -> None:
    switch_mfa_on(app, auditor)
    raise_to(app, auditor, Level.AAL2)
    gone = f"{API}/users/{UUID(int=0)}"
    assert_problem(stale(auditor).delete(gone), 401, "reauthentication_required")
    assert_problem(auditor.delete(gone), 404, "user_not_found")


def test_a_sleeping_permission_asks_for_level_and_freshness_at_once(
    app: Flask, admin: Caller, auditor: Caller
) -> None:
    body = {"name": "auditor", "permissions": ["users:write", "audit:read"]}
    change_role(app, "clerk", requires_mfa=True)
    assert_step_up(auditor.post(ROLES, json=body))
    assert_step_up(stale(auditor).post(ROLES, json=body), max_age=FRESH_TTL)


def test_a_token_from_before_its_session_rose_is_not_fresh_above_its_level(
    app: Flask, auditor: Caller
) -> None:
    """A password alone got it, so it must not change what two factors guard."""
    former = auditor.tokens["access_token"]
    raise_to(app, auditor, Level.AAL2)
    risen = auditor.tokens["access_token"]
    gone = f"{API}/users/{UUID(int=0)}"
    auditor.tokens["access_token"] = former
    assert auditor.get(ME).status_code == 200
    assert_problem(auditor.delete(gone), 401, "reauthentication_required")
    auditor.tokens["access_token"] = risen
    assert_problem(auditor.delete(gone), 404, "user_not_found")
