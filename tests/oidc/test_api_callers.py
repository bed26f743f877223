"""Apps and machines at the service's own API: never more than scopes, user and client allow now."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine
from flask import Flask
from werkzeug.test import TestResponse

from authserve.clients.client_secrets import add_secret, delete_secret, list_secrets
from authserve.clients.configuration import ClientChanges
from authserve.clients.kinds import ClientKind
from authserve.clients.registry import change_client, delete_client, revoke_client
from authserve.core.actor import OPERATOR, RequestInfo
from tests.http.test_cost import statements_of_sqlite
from tests.oidc.conftest import App, MakeApp
from tests.support.clients import Caller
from tests.support.marks import both_databases
from tests.support.problems import assert_problem
from tests.support.rows import audit_trail, change_role, change_session, change_user

API = "http://localhost:8000/api/v1"

ME = "/api/v1/users/me"
USERS = "/api/v1/users"
ROLES = "/api/v1/roles"

OPEN = (200, None)
LACKING = (403, "insufficient_permissions")
SCOPE = (403, "insufficient_scope")
ENDED = (401, "session_revoked")

ROLE = {"name": "clerk", "permissions": ["users:read"]}


def call(app: Flask, token: str, path: str, method: str = "GET", **kwargs: Any) -> TestResponse:
    headers = {"Authorization": f"Bearer {token}"}
    return app.test_client().open(path, method=method, headers=headers, **kwargs)


def result(app: Flask, token: str, path: str, method: str = "GET", **kwargs: Any) -> Any:
    answer = call(app, token, path, method, **kwargs)
    if answer.status_code == 403:
        assert_problem(answer, 403, answer.get_json()["code"])
    return answer.status_code, (answer.get_json(silent=True) or {}).get("code")


def change(client: App, **changes: Any) -> None:
    with client.app.app_context():
        change_client(
            client.client_id, ClientChanges(**changes), actor=OPERATOR, request=RequestInfo()
        )


@pytest.fixture
def console(make_client: MakeApp) -> App:
    """An app of Alice for the API, with the scope of her account."""
    scopes = ("openid", "account", "users:read", "roles:read", "roles:write", "shop:sell")
    return make_client("console", scopes=scopes, resources=(API,))


def sign_in(console: App, *scopes: str) -> str:
    token: str = console.sign_in(*scopes, resource=API)["access_token"]
    return token


@pytest.fixture
def admin_console(console: App, admin: Caller) -> App:
    """The same app, of an administrator."""
    change_session(console.app, admin.session_id, kind="browser", cookie_digest=bytes(32))
    return replace(console, user_id=admin.id, browser_id=UUID(str(admin.session_id)))


@pytest.fixture
def job(make_client: MakeApp) -> App:
    """A machine that may read and write roles."""
    return make_client(
        "job",
        kind=ClientKind.MACHINE,
        first_party=False,
        redirect_uris=(),
        scopes=("users:read", "roles:read", "roles:write"),
        resources=(API,),
    )


def ask(job: App, **fields: str) -> str:
    token: str = job.call(grant_type="client_credentials", **fields).get_json()["access_token"]
    return token


class TestApps:
    def test_the_scope_account_opens_four_calls(self, app: Flask, console: App) -> None:
        token, other = sign_in(console, "account"), sign_in(console, "openid")
        calls = (("GET", ME), ("PATCH", ME), ("GET", f"{ME}/sessions"), ("GET", f"{ME}/events"))
        for method, path in calls:
            body = {"json": {"display_name": "Alice"}} if method == "PATCH" else {}
            assert result(app, token, path, method, **body) == OPEN, path
            assert result(app, other, path, method, **body) == SCOPE, path

    def test_a_scope_is_worth_what_the_users_roles_hold_now(
        self, app: Flask, console: App, admin: Caller
    ) -> None:
        token = sign_in(console, "openid", "users:read")
        assert result(app, token, USERS) == LACKING
        assert admin.post(ROLES, json=ROLE).status_code == 201
        roles = f"{USERS}/{console.user_id}/roles"
        assert admin.put(roles, json={"roles": ["user", "clerk"]}).status_code == 200
        token = sign_in(console, "users:read")
        assert result(app, token, USERS) == OPEN
        change_role(app, "clerk", requires_mfa=True)
        assert result(app, token, USERS) == LACKING
        change_role(app, "clerk", requires_mfa=False)
        change(console, scopes=("openid", "account"))
        assert result(app, token, USERS) == LACKING

    def test_an_administrators_app_holds_its_scopes_alone(
        self, app: Flask, admin_console: App
    ) -> None:
        token = sign_in(admin_console, "users:read", "roles:write")
        assert result(app, token, USERS) == OPEN
        assert result(app, token, ROLES) == LACKING
        # Its user holds everything, but the app can grant only what its scopes are.
        assert result(app, token, ROLES, "POST", json=ROLE) == (201, None)
        more = {"name": "more", "permissions": ["shop:sell"]}
        assert result(app, token, ROLES, "POST", json=more) == LACKING

    def test_its_token_is_fresh_for_a_while_after_the_sign_in(
        self, clock: time_machine.Traveller, app: Flask, admin_console: App
    ) -> None:
        tokens = admin_console.sign_in("roles:write", "users:read", resource=API)
        clock.shift(299)
        assert result(app, tokens["access_token"], ROLES, "POST", json=ROLE) == (201, None)
        clock.shift(2)
        path = f"{ROLES}/clerk"
        stale = (401, "reauthentication_required")
        assert result(app, tokens["access_token"], path, "DELETE") == stale
        refreshed = admin_console.refresh(tokens["refresh_token"]).get_json()["access_token"]
        assert result(app, refreshed, path, "DELETE") == stale

    def test_it_ends_with_its_session_and_its_client(self, app: Flask, console: App) -> None:
        token = sign_in(console, "account")
        change_user(app, console.user_id, mfa_enabled=True)
        assert result(app, token, ME) == (401, "step_up_required")
        change_user(app, console.user_id, mfa_enabled=False)
        assert result(app, token, ME) == OPEN
        change(console, allowed_roles=("staff",))
        assert result(app, token, ME) == ENDED
        change(console, allowed_roles=(), enabled=False)
        assert result(app, token, ME) == ENDED
        change(console, enabled=True)
        assert result(app, token, ME) == OPEN
        change_user(app, console.user_id, is_active=False)
        assert result(app, token, ME) == ENDED
        change_user(app, console.user_id, is_active=True)
        change_session(app, console.browser_id, revoked_at=None, revoke_reason=None)
        with app.app_context():
            revoke_client("console", actor=OPERATOR, request=RequestInfo())
        assert result(app, token, ME) == ENDED

    def test_it_ends_with_its_account(self, app: Flask, console: App) -> None:
        token = sign_in(console, "account")
        done = app.test_cli_runner(capture="fd").invoke(args=["users", "delete", "alice", "--yes"])
        assert done.exit_code == 0, done.output
        assert result(app, token, ME) == ENDED

    def test_a_check_is_one_statement(self, app: Flask, console: App) -> None:
        token = sign_in(console, "account")
        assert result(app, token, ME) == OPEN
        with statements_of_sqlite() as sent:
            assert result(app, token, ME) == OPEN
        assert len(sent) == 1, sent


def test_a_client_that_has_lost_the_resource_is_refused_at_once(
    app: Flask, console: App, job: App
) -> None:
    tokens = (console, sign_in(console, "account"), ME), (job, ask(job), USERS)
    for client, token, path in tokens:
        assert result(app, token, path) == OPEN
        change(client, resources=("https://other.example.com",))
        assert result(app, token, path) == (401, "invalid_token")
        change(client, resources=(API,))
        assert result(app, token, path) == OPEN


def test_without_the_feature_their_tokens_are_none(
    make_app: Callable[..., Flask], console: App, job: App
) -> None:
    plain = make_app()
    for token in (sign_in(console, "account"), ask(job)):
        assert result(plain, token, ME) == (401, "invalid_token")


class TestMachines:
    @both_databases
    def test_it_has_its_scopes_and_no_account(self, app: Flask, job: App) -> None:
        token = ask(job)
        assert result(app, token, USERS) == OPEN
        assert result(app, token, f"{USERS}/{job.user_id}/sessions") == LACKING
        for method, path in (("GET", ME), ("DELETE", ME), ("POST", "/api/v1/auth/logout-all")):
            assert result(app, token, path, method) == SCOPE, path
        narrow = ask(job, scope="users:read")
        assert result(app, narrow, ROLES) == LACKING
        change(job, scopes=("users:read",))
        assert result(app, token, ROLES) == LACKING

    def test_it_is_asked_for_no_fresh_sign_in_and_no_level(
        self, clock: time_machine.Traveller, app: Flask, job: App
    ) -> None:
        token = ask(job)
        clock.shift(400)
        assert result(app, token, ROLES, "POST", json=ROLE) == (201, None)
        needs = {"requires_mfa": True}
        assert result(app, token, f"{ROLES}/clerk", "PATCH", json=needs) == OPEN
        more = {"name": "more", "permissions": ["audit:read"]}
        assert result(app, token, ROLES, "POST", json=more) == LACKING
        (made,) = audit_trail(app, "role.created")
        assert (made["actor_client_id"], made["actor_audit_id"]) == ("job", None)

    @pytest.mark.usefixtures("clock")
    def test_the_row_of_the_client_decides(self, app: Flask, job: App) -> None:
        token = ask(job)
        change(job, enabled=False)
        assert result(app, token, USERS) == ENDED
        change(job, enabled=True)
        assert result(app, token, USERS) == OPEN
        with app.app_context():
            revoke_client("job", actor=OPERATOR, request=RequestInfo())
        assert result(app, token, USERS) == ENDED
        # A token of the same second is another one.
        token = ask(job)
        assert result(app, token, USERS) == OPEN
        with app.app_context():
            delete_client("job", actor=OPERATOR, request=RequestInfo())
        assert result(app, token, USERS) == ENDED

    def test_without_a_live_secret_its_tokens_are_refused(
        self, clock: time_machine.Traveller, app: Flask, job: App
    ) -> None:
        token = ask(job)
        who = {"actor": OPERATOR, "request": RequestInfo()}
        with app.app_context():
            add_secret("job", expires_in=timedelta(seconds=60), **who)
            first, _second = list_secrets("job")
            delete_secret("job", first.id, **who)
        assert result(app, token, USERS) == OPEN
        clock.shift(60)
        assert result(app, token, USERS) == ENDED

    def test_a_check_is_one_statement(self, app: Flask, job: App) -> None:
        token = ask(job)
        assert result(app, token, f"{USERS}/{job.user_id}/sessions") == LACKING
        with statements_of_sqlite() as sent:
            assert result(app, token, f"{USERS}/{job.user_id}/sessions") == LACKING
        assert len(sent) == 1, sent
