from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from authserve.admin.schemas import MAX_ROLES
from authserve.http.authentication import (
    current_actor,
    fresh_login_required,
    login_required,
    require_permission,
)
from authserve.http.callers import AUTHENTICATORS, MAX_TOKEN_LENGTH, Authentication
from tests.support.clients import PASSWORD, Caller, register_caller, sign_in
from tests.support.probes import PROBE, add_probe, cookie_client
from tests.support.problems import assert_problem

ME = "/api/v1/users/me"
INVALID = 'Bearer error="invalid_token"'


def get(client: FlaskClient, *headers: str, path: str = ME) -> Any:
    return client.get(path, headers=[("Authorization", header) for header in headers])


def assert_refused(response: Any, code: str, challenge: str) -> None:
    assert_problem(response, 401, code)
    assert response.headers.getlist("WWW-Authenticate") == [challenge]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer ", " Bearer"])
def test_the_scheme_has_any_letter_case(alice: Caller, scheme: str) -> None:
    assert get(alice.client, f"{scheme} {alice.tokens['access_token']}").status_code == 200


def test_space_after_the_token_is_no_part_of_it(alice: Caller) -> None:
    assert get(alice.client, f"Bearer {alice.tokens['access_token']}  ").status_code == 200


@pytest.mark.parametrize("route", ["login", "password/forgot", "register"])
def test_two_headers_are_refused_where_none_is_asked_for(client: FlaskClient, route: str) -> None:
    body = {"email": "alice@example.com"}
    headers = {"Authorization": "Bearer a, Bearer b"}
    response = client.post(f"/api/v1/auth/{route}", json=body, headers=headers)
    assert_problem(response, 400, "malformed_request")


def test_two_headers_are_refused_even_if_equal(alice: Caller) -> None:
    good = f"Bearer {alice.tokens['access_token']}"
    for headers in (
        (good, good),
        (good, "Bearer x"),
        ("Bearer x", good),
        (good, "Basic YTpi"),
        ("Basic YTpi", good),
        (f"{good}, {good}",),
        (f"{good},{good}",),
    ):
        assert_problem(get(alice.client, *headers), 400, "malformed_request")


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        "Basic YTpi",
        "Token x",
        "Bearerx",
        "Bearer\tx",
        "x",
        'Digest username="alice", realm="users@example.com", uri="/api/v1/users/me", qop=auth',
        "AWS4-HMAC-SHA256 Credential=x/y, SignedHeaders=host;date, Signature=z",
    ],
)
def test_another_scheme_is_no_token(client: FlaskClient, header: str) -> None:
    assert_refused(get(client, header), "authentication_required", "Bearer")


def test_no_header_is_challenged_without_an_error(client: FlaskClient) -> None:
    # RFC 6750 §3.1: without a token, the challenge holds no error.
    assert_refused(get(client), "authentication_required", "Bearer")


@pytest.mark.parametrize(
    "token",
    ["", "x", "a.b", "a.b.c", "a.b.c.d", "..", "a b", "a,b", "é", "\x00", "null", "x" * 6_000],
)
def test_a_malformed_token_is_invalid(client: FlaskClient, token: str) -> None:
    assert_refused(get(client, f"Bearer {token}"), "invalid_token", INVALID)


def test_a_token_has_one_spelling(alice: Caller) -> None:
    good = alice.tokens["access_token"]
    for spelling in (f"{good}=", f"{good}.", f".{good}", good[:-1], good.replace(".", "=.", 1)):
        assert_refused(get(alice.client, f"Bearer {spelling}"), "invalid_token", INVALID)
    assert len(good) < MAX_TOKEN_LENGTH


def test_a_token_over_the_limit_is_refused_before_any_work(app: Flask, client: FlaskClient) -> None:
    """7,168 characters are the most (`docs/security-design.md`)."""
    verified: list[int] = []
    (authenticate,) = AUTHENTICATORS.of(app)

    def note(token: str) -> Authentication:
        verified.append(len(token))
        return authenticate(token)

    AUTHENTICATORS.fill(app, (note,))
    for length in (7_168, 7_169):
        assert_refused(get(client, "Bearer " + "x" * length), "invalid_token", INVALID)
    assert verified == [7_168]


def test_a_token_of_another_kind_is_invalid(alice: Caller) -> None:
    for kind in ("refresh_token", "device_token"):
        assert_refused(get(alice.client, f"Bearer {alice.tokens[kind]}"), "invalid_token", INVALID)


def test_an_expired_token_gets_token_expired(app: Flask, clock: time_machine.Traveller) -> None:
    alice = register_caller(app, "alice")
    clock.shift(11 * 60)
    assert_refused(alice.get(ME), "token_expired", INVALID)


def test_a_token_elsewhere_is_ignored(app: Flask, alice: Caller) -> None:
    client, token = cookie_client(app), alice.tokens["access_token"]
    for name in ("access_token", "token", "jwt"):
        assert_problem(client.get(f"{ME}?{name}={token}"), 422, "validation_failed")
        assert_problem(client.get(ME, json={name: token}), 422, "validation_failed")
        form = client.patch(ME, data={name: token})
        assert_problem(form, 415, "unsupported_media_type")
        for header in (f"{name}={token}", f"access_token_cookie={token}"):
            assert_refused(
                client.get(ME, headers={"Cookie": header}), "authentication_required", "Bearer"
            )
    headers = {"X-Access-Token": token, "Proxy-Authorization": f"Bearer {token}"}
    assert_refused(client.get(ME, headers=headers), "authentication_required", "Bearer")


def test_a_caller_without_the_permission_is_known_and_refused(app: Flask) -> None:
    seen = []

    @require_permission("users:read")
    def look() -> dict[str, str]:
        seen.append(current_actor().signed_in_user.id)
        return {}

    add_probe(app, look)
    alice, admin = register_caller(app, "alice"), register_caller(app, "admin", roles=["admin"])
    refused = alice.get(PROBE)
    assert_problem(refused, 403, "insufficient_permissions")
    assert "WWW-Authenticate" not in refused.headers
    assert_refused(alice.client.get(PROBE), "authentication_required", "Bearer")
    assert seen == []
    assert admin.get(PROBE).status_code == 200
    assert seen == [admin.id]


class TestFreshness:
    CHALLENGE = 'Bearer error="insufficient_user_authentication", max_age=300'

    @pytest.fixture
    def guarded(self, app: Flask, clock: time_machine.Traveller) -> Flask:
        """An application with a view that needs a fresh token, and a frozen clock."""
        add_probe(app, fresh_login_required(dict))
        return app

    def test_a_login_is_fresh_for_five_minutes(
        self, guarded: Flask, clock: time_machine.Traveller
    ) -> None:
        alice = register_caller(guarded, "alice")
        assert alice.get(PROBE).status_code == 200
        clock.shift(5 * 60 - 1)
        assert alice.get(PROBE).status_code == 200
        clock.shift(1)
        assert_refused(alice.get(PROBE), "reauthentication_required", self.CHALLENGE)
        assert alice.get(ME).status_code == 200

    def test_a_refreshed_token_is_not(self, guarded: Flask) -> None:
        alice = register_caller(guarded, "alice")
        body = {"refresh_token": alice.tokens["refresh_token"]}
        alice.tokens = alice.client.post("/api/v1/auth/refresh", json=body).get_json()
        assert_refused(alice.get(PROBE), "reauthentication_required", self.CHALLENGE)

    def test_reauthentication_makes_it_fresh(self, guarded: Flask) -> None:
        alice = register_caller(guarded, "alice")
        body = {"refresh_token": alice.tokens["refresh_token"]}
        alice.tokens = alice.client.post("/api/v1/auth/refresh", json=body).get_json()
        alice.tokens |= alice.post(
            "/api/v1/auth/reauthenticate", json={"password": PASSWORD}
        ).get_json()
        assert alice.get(PROBE).status_code == 200

    def test_without_a_token_it_asks_for_one_first(self, guarded: Flask) -> None:
        client = guarded.test_client()
        assert_refused(client.get(PROBE), "authentication_required", "Bearer")

    def test_the_challenge_names_the_age_that_was_configured(self, make_app: Any) -> None:
        app = make_app(fresh_ttl=timedelta(seconds=90))
        add_probe(app, fresh_login_required(dict))
        alice = register_caller(app, "alice")
        body = {"refresh_token": alice.tokens["refresh_token"]}
        alice.tokens = alice.client.post("/api/v1/auth/refresh", json=body).get_json()
        response = alice.get(PROBE)
        assert response.headers["WWW-Authenticate"].endswith("max_age=90")


def test_a_call_with_several_guards_checks_the_token_once(app: Flask) -> None:
    checks: list[str] = []
    (authenticate,) = AUTHENTICATORS.of(app)

    def count(token: str) -> Any:
        checks.append(token)
        return authenticate(token)

    AUTHENTICATORS.fill(app, (count,))
    view = login_required(fresh_login_required(require_permission("users:read")(dict)))
    add_probe(app, view)
    admin = register_caller(app, "admin", roles=["admin"])
    assert admin.get(PROBE).status_code == 200
    assert len(checks) == 1


def test_a_token_that_names_as_many_roles_as_one_can_be_given_is_taken(
    app: Flask, admin: Caller
) -> None:
    names = [f"{number:064}" for number in range(MAX_ROLES)]
    for name in names:
        role = {"name": name, "permissions": []}
        assert admin.post("/api/v1/roles", json=role).status_code == 201
    alice = register_caller(app, "alice")
    given = admin.put(f"/api/v1/users/{alice.id}/roles", json={"roles": names})
    assert given.status_code == 200
    alice = sign_in(app.test_client(), "alice", user=alice.user)
    assert alice.get(ME).get_json()["roles"] == names
    # The limit of gunicorn, and of most proxies, for one header field.
    assert len(f"Authorization: Bearer {alice.tokens['access_token']}") < 8_190
