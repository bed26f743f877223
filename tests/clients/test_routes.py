"""`/api/v1/clients`."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask

from authserve.clients.authentication import ClientCredentials, find_authenticated_client
from authserve.clients.kinds import ClientKind
from authserve.clients.schemas import SecretRequestSchema
from authserve.core.clock import now
from tests.support.clients import Caller, register_caller
from tests.support.oauth_clients import CALLBACK, give_client
from tests.support.operations import API_FEATURES
from tests.support.problems import assert_problem

CLIENTS = "/api/v1/clients"

WIKI = {
    "client_id": "wiki",
    "name": "Wiki",
    "kind": "web",
    "redirect_uris": [CALLBACK],
    "scopes": ["openid", "users:read"],
}


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with the calls for clients."""
    return make_app(features=API_FEATURES)


@pytest.fixture
def helper(app: Flask, admin: Caller) -> Caller:
    """A caller who may write clients and read accounts, but is no administrator."""
    role = {"name": "helper", "permissions": ["clients:read", "clients:write", "users:read"]}
    assert admin.post("/api/v1/roles", json=role).status_code == 201
    return register_caller(app, "helper", roles=("helper",))


def test_a_client_is_registered_with_a_secret_that_is_shown_once(app: Flask, admin: Caller) -> None:
    made = admin.post(CLIENTS, json=WIKI)
    assert made.status_code == 201
    document = made.get_json()
    secret = document.pop("client_secret")
    with app.app_context():
        presented = ClientCredentials(client_id="wiki", secret=secret)
        assert find_authenticated_client(presented, now=now()) is not None
    shown = admin.get(f"{CLIENTS}/wiki").get_json()
    assert {**shown, "last_used_at": None, "secrets": []} == {**document, "secrets": []}
    assert secret not in admin.get(CLIENTS).get_data(as_text=True)


def test_clients_are_listed_in_pages_by_id(app: Flask, admin: Caller) -> None:
    for client_id in ("ccc", "aaa", "bbb"):
        give_client(app, client_id)
    first = admin.get(f"{CLIENTS}?limit=2").get_json()
    second = admin.get(f"{CLIENTS}?limit=2&cursor={first['next_cursor']}").get_json()
    pages = [[client["client_id"] for client in page["items"]] for page in (first, second)]
    assert (pages, second["next_cursor"]) == ([["aaa", "bbb"], ["ccc"]], None)
    assert all(len(client["secrets"]) == 1 for client in first["items"])


def test_a_secret_is_replaced_without_an_outage(app: Flask, admin: Caller) -> None:
    old = give_client(app).secrets[0].id
    new = admin.post(f"{CLIENTS}/wiki/secrets", json={"expires_in": 3600}).get_json()
    assert new["client_secret"].startswith("as_cs_")
    assert_problem(admin.post(f"{CLIENTS}/wiki/secrets"), 409, "too_many_secrets")
    assert admin.delete(f"{CLIENTS}/wiki/secrets/{old}").status_code == 204
    secrets = admin.get(f"{CLIENTS}/wiki").get_json()["secrets"]
    assert [secret["id"] for secret in secrets] == [new["id"]]


@pytest.mark.parametrize(
    "values",
    [{"scopes": ["openid", "audit:read"]}, {"scopes": ["account"]}, {"first_party": True}],
    ids=["permission", "account", "first party"],
)
def test_a_helper_cannot_borrow_a_clients_power(
    app: Flask, admin: Caller, helper: Caller, values: dict[str, Any]
) -> None:
    forbidden = (403, "insufficient_permissions")
    assert_problem(helper.post(CLIENTS, json={**WIKI, **values}), *forbidden)
    assert helper.post(CLIENTS, json=WIKI).status_code == 201
    assert_problem(helper.patch(f"{CLIENTS}/wiki", json=values), *forbidden)
    assert admin.patch(f"{CLIENTS}/wiki", json=values).status_code == 200
    assert_problem(helper.patch(f"{CLIENTS}/wiki", json={"name": "Docs"}), *forbidden)
    assert_problem(helper.post(f"{CLIENTS}/wiki/secrets"), *forbidden)
    assert helper.patch(f"{CLIENTS}/wiki", json={"enabled": False}).status_code == 200
    assert_problem(helper.patch(f"{CLIENTS}/wiki", json={"enabled": True}), *forbidden)
    assert helper.post(f"{CLIENTS}/wiki/revoke").status_code == 204


def test_a_clients_use_is_recorded_once_a_minute(
    clock: time_machine.Traveller, app: Flask, admin: Caller
) -> None:
    made = give_client(app, kind=ClientKind.MACHINE, redirect_uris=(), scopes=("users:read",))
    presented = ClientCredentials(client_id="wiki", secret=made.secret)

    def use(after: timedelta) -> datetime:
        clock.shift(after)
        with app.app_context():
            find_authenticated_client(presented, now=now())
        shown = admin.get(f"{CLIENTS}/wiki").get_json()
        assert shown["last_used_at"] == shown["secrets"][0]["last_used_at"]
        return datetime.fromisoformat(shown["last_used_at"])

    first = use(timedelta(0))
    assert use(timedelta(seconds=59)) == first
    assert use(timedelta(seconds=1)) > first


def test_without_the_feature_there_are_no_such_calls(make_app: Callable[..., Flask]) -> None:
    client = make_app().test_client()
    assert client.get(CLIENTS).status_code == 404
    assert CLIENTS not in client.get("/openapi.json").get_data(as_text=True)


@pytest.mark.parametrize(
    ("secs", "is_accepted"),
    [(59, False), (60, True), (10 * 365 * 86_400, True), (10 * 365 * 86_400 + 1, False)],
)
def test_a_secret_lasts_a_minute_at_least_and_ten_years_at_most(
    secs: int, is_accepted: bool
) -> None:
    assert (SecretRequestSchema().validate({"expires_in": secs}) == {}) is is_accepted
