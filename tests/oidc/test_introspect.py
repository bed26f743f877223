"""Introspection by clients: their own tokens, those for them, and all with the scope for it."""

from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from authserve.clients.kinds import ClientKind
from authserve.clients.registry import change_client
from authserve.core.actor import OPERATOR, RequestInfo
from tests.http.test_cost import statements_of_sqlite
from tests.oidc.conftest import API, App, MakeApp, claims_of
from tests.oidc.test_codes import error
from tests.support.clients import Caller
from tests.support.rows import change_session, change_user

ISSUER = "http://localhost:8000"
OWN_API = f"{ISSUER}/api/v1"
SHOP = "https://shop.example.com"

INACTIVE = {"active": False}


def ask(client: App, token: str | None, **fields: str) -> TestResponse:
    given = {"client_id": client.client_id, "client_secret": client.secret, "token": token}
    data = {name: value for name, value in (given | fields).items() if value is not None}
    return client.app.test_client().post("/oauth/introspect", data=data)


def learn(client: App, token: str) -> dict[str, Any]:
    answer = ask(client, token)
    assert answer.status_code == 200, answer.get_json()
    assert answer.headers["Cache-Control"] == "no-store"
    found: dict[str, Any] = answer.get_json()
    return found


@pytest.fixture
def make_machine(make_client: MakeApp) -> MakeApp:
    def make(client_id: str = "job", **changes: Any) -> App:
        values = {"kind": ClientKind.MACHINE, "first_party": False, "redirect_uris": ()}
        return make_client(client_id, **values, **changes)

    return make


@pytest.fixture
def shop(make_machine: MakeApp) -> App:
    """A machine that serves one resource."""
    return make_machine("shop", scopes=("shop:sell",), resources=(SHOP,))


@pytest.fixture
def watcher(make_machine: MakeApp) -> App:
    """A machine that may know every token."""
    return make_machine("watcher", scopes=("tokens:introspect",), resources=(OWN_API,))


def test_an_app_may_know_its_own_token(wiki: App) -> None:
    token = wiki.sign_in("openid", "profile")["access_token"]
    claims = claims_of(token)
    same = ("sub", "sid", "client_id", "exp", "iat", "iss", "aud", "acr", "amr", "auth_time")
    assert learn(wiki, token) == {
        "active": True,
        **{name: claims[name] for name in same},
        "scope": "openid profile",
        "token_type": "Bearer",
        "username": "alice",
    }
    without_profile = learn(wiki, wiki.sign_in("openid")["access_token"])
    assert (without_profile["active"], "username" in without_profile) == (True, False)


def test_a_service_may_know_the_tokens_for_it(
    wiki: App, make_machine: MakeApp, make_client: MakeApp, shop: App
) -> None:
    for_shop = make_client("till", resources=(SHOP,)).sign_in("openid", resource=SHOP)
    job = make_machine(scopes=("shop:sell",), resources=(SHOP,))
    of_job = job.call(grant_type="client_credentials").get_json()["access_token"]
    assert learn(shop, for_shop["access_token"])["client_id"] == "till"
    assert learn(shop, of_job) == {
        "active": True,
        **{name: claims_of(of_job)[name] for name in ("exp", "iat", "iss")},
        "sub": "job",
        "client_id": "job",
        "aud": SHOP,
        "scope": "shop:sell",
        "token_type": "Bearer",
    }
    for other in (wiki.sign_in()["access_token"], wiki.sign_in(resource=API)["access_token"]):
        assert learn(shop, other) == INACTIVE
    assert learn(wiki, of_job) == INACTIVE


def test_no_other_kind_of_token_is_active(wiki: App, alice: Caller) -> None:
    tokens = wiki.sign_in("openid", "offline_access")
    others = {tokens["refresh_token"], tokens["id_token"], wiki.make_code(), "x", "a.b.c", "é"}
    others |= {alice.tokens["access_token"], alice.tokens["refresh_token"]}
    assert [learn(wiki, token) for token in others] == [INACTIVE] * len(others)


def test_a_token_is_worth_what_its_row_is_now(app: Flask, wiki: App) -> None:
    token = wiki.sign_in("openid", "profile")["access_token"]
    change_user(app, wiki.user_id, mfa_enabled=True)
    assert learn(wiki, token) == INACTIVE
    change_user(app, wiki.user_id, mfa_enabled=False)
    assert learn(wiki, token)["active"] is True
    change_session(app, claims_of(token)["sid"], scope="profile")
    assert learn(wiki, token)["scope"] == "profile"
    change_session(app, claims_of(token)["sid"], scope="email")
    assert learn(wiki, token) == INACTIVE


def test_a_token_for_a_resource_that_its_client_has_lost_is_not_active(
    make_client: MakeApp, shop: App
) -> None:
    till = make_client("till", resources=(SHOP,))
    token = till.sign_in("openid", resource=SHOP)["access_token"]
    assert learn(shop, token)["active"] is True
    with till.app.app_context():
        change_client("till", {"resources": ()}, actor=OPERATOR, request=RequestInfo())
    assert learn(shop, token) == INACTIVE


def test_with_its_scope_a_machine_may_know_all(
    wiki: App, shop: App, watcher: App, alice: Caller, admin: Caller
) -> None:
    tokens = [
        wiki.sign_in()["access_token"],
        shop.call(grant_type="client_credentials").get_json()["access_token"],
        alice.tokens["access_token"],
    ]
    known = [learn(watcher, token) for token in tokens]
    assert [facts["client_id"] for facts in known] == ["wiki", "shop", "authserve"]
    assert [facts.get("username") for facts in known] == ["alice", None, "alice"]
    # The call of the API has the same answers, for a machine and for a user.
    bearer = watcher.call(grant_type="client_credentials").get_json()["access_token"]
    headers = {"Authorization": f"Bearer {bearer}"}
    path, client = "/api/v1/auth/introspect", wiki.app.test_client()
    for token, facts in zip(tokens, known, strict=True):
        answer = client.post(path, json={"token": token}, headers=headers)
        assert answer.get_json() == facts
        assert admin.post(path, json={"token": token}).get_json() == facts
    assert learn(watcher, alice.tokens["refresh_token"]) == INACTIVE


def test_with_its_scope_a_machine_may_know_api_keys(
    make_app: Any, make_client: MakeApp, watcher: App, shop: App, alice: Caller
) -> None:
    app = make_app(features=("oidc", "api-keys"))
    change_user(app, alice.id, email_verified=True)
    made = app.test_client().post(
        "/api/v1/users/me/api-keys",
        json={"name": "A script", "scopes": ["account"]},
        headers={"Authorization": f"Bearer {alice.tokens['access_token']}"},
    )
    key = made.get_json()["key"]
    watcher.app = shop.app = app
    facts = learn(watcher, key)
    assert (facts["active"], facts["sub"], facts["scope"]) == (True, str(alice.id), "account")
    assert learn(shop, key) == INACTIVE
    # The call of the API is for access tokens alone.
    bearer = watcher.call(grant_type="client_credentials").get_json()["access_token"]
    headers = {"Authorization": f"Bearer {bearer}"}
    path = "/api/v1/auth/introspect"
    answer = app.test_client().post(path, json={"token": key}, headers=headers)
    assert answer.get_json() == INACTIVE


def test_only_a_client_with_a_secret_may_ask(wiki: App, make_client: MakeApp) -> None:
    token = wiki.sign_in()["access_token"]
    spa = make_client("board", kind=ClientKind.SPA, scopes=("openid",))
    assert error(ask(spa, token)) == (401, "invalid_client")
    wrong = ask(wiki, token, client_secret="wrong")
    assert error(wrong) == (401, "invalid_client")
    assert wrong.headers["WWW-Authenticate"].startswith("Basic")
    assert error(ask(wiki, None)) == (400, "invalid_request")


def test_it_is_two_statements(wiki: App) -> None:
    token = wiki.sign_in()["access_token"]
    learn(wiki, token)
    with statements_of_sqlite() as sent:
        learn(wiki, token)
    # The client with its secret, and the grant.
    assert len(sent) == 2, sent
