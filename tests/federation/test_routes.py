"""`/api/v1/identity-providers`."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from authserve.core.outbound_hosts import OutboundHosts
from authserve.federation.secrets import read_secret
from tests.support.clients import Caller, register_caller
from tests.support.identity_providers import give_provider
from tests.support.problems import assert_problem
from tests.support.rows import audit_trail

PROVIDERS = "/api/v1/identity-providers"

GOOGLE = {"preset": "google", "client_id": "1234.apps", "client_secret": "GOCSPX-0123456789"}

WORK = {**GOOGLE, "preset": "oidc", "slug": "work", "issuer": "https://id.example.org"}

FORBIDDEN = (403, "insufficient_permissions")


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with the calls for providers."""
    return make_app(features=("federation",))


@pytest.fixture
def helper(app: Flask, admin: Caller) -> Caller:
    """A caller who may write providers, but is no administrator."""
    role = {"name": "helper", "permissions": ["providers:read", "providers:write"]}
    assert admin.post("/api/v1/roles", json=role).status_code == 201
    return register_caller(app, "helper", roles=("helper",))


def test_a_provider_is_added_changed_and_deleted(app: Flask, admin: Caller) -> None:
    made = admin.post(PROVIDERS, json=GOOGLE)
    assert made.status_code == 201
    document = made.get_json()
    assert document["redirect_uri"] == "http://localhost:8000/sign-in/with/google/callback"
    assert admin.get(f"{PROVIDERS}/google").get_json() == document
    values = {"allowed_domains": ["Example.com"], "link": "never", "client_secret": "another"}
    changed = admin.patch(f"{PROVIDERS}/google", json=values).get_json()
    expected = {"allowed_domains": ["example.com"], "link": "never"}
    assert changed == {**document, **expected, "updated_at": changed["updated_at"]}
    with app.app_context():
        assert read_secret("google") == "another"
    (event,) = audit_trail(app, "provider.changed")
    assert set(event["details"]["fields"]) == {"allowed_domains", "link", "secret"}
    assert admin.delete(f"{PROVIDERS}/google").status_code == 204
    assert_problem(admin.get(f"{PROVIDERS}/google"), 404, "provider_not_found")


def test_no_answer_has_the_secret(app: Flask, admin: Caller) -> None:
    secret = GOOGLE["client_secret"]
    answers = [
        admin.post(PROVIDERS, json=GOOGLE),
        admin.post(PROVIDERS, json=GOOGLE),
        admin.patch(f"{PROVIDERS}/google", json={"client_secret": secret}),
        admin.get(PROVIDERS),
    ]
    assert [answer.status_code for answer in answers] == [201, 409, 200, 200]
    assert not any(secret in answer.get_data(as_text=True) for answer in answers)


def test_providers_are_listed_in_pages_by_slug(app: Flask, admin: Caller) -> None:
    for slug in ("ccc", "aaa", "bbb"):
        give_provider(app, slug)
    first = admin.get(f"{PROVIDERS}?limit=2").get_json()
    second = admin.get(f"{PROVIDERS}?limit=2&cursor={first['next_cursor']}").get_json()
    pages = [[provider["slug"] for provider in page["items"]] for page in (first, second)]
    assert (pages, second["next_cursor"]) == ([["aaa", "bbb"], ["ccc"]], None)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"issuer": None}, "issuer"),
        ({"issuer": "http://id.example.org"}, "issuer"),
        ({"issuer": "https://id.example.org/?a=b"}, "issuer"),
        ({"preset": "microsoft"}, "issuer"),
        ({"preset": "github"}, "scopes"),
        ({"preset": "apple"}, "preset"),
        ({"slug": "Work"}, "slug"),
        ({"name": "\u202ework"}, "name"),
        ({"client_id": "wörk"}, "client_id"),
        ({"client_secret": ""}, "client_secret"),
        ({"client_secret": "pasted\n"}, "client_secret"),
        ({"scopes": ["email"]}, "scopes"),
        ({"allowed_domains": ["no domain"]}, "allowed_domains"),
        ({"link": "always"}, "link"),
        ({"trusts_email": "yes"}, "trusts_email"),
    ],
    ids=lambda value: None if isinstance(value, str) else next(iter(value)),
)
def test_a_value_that_cannot_be_is_refused(
    admin: Caller, values: dict[str, Any], field: str
) -> None:
    scopes = {"scopes": ["a b"]} if values.get("preset") == "github" else {}
    wanted = {**WORK, **scopes, **values}
    body = {name: value for name, value in wanted.items() if value is not None}
    problem = assert_problem(admin.post(PROVIDERS, json=body), 422, "validation_failed")
    assert list(problem["errors"]) in ([field], [f"{field}.0"])


def test_an_http_issuer_needs_its_host_in_the_settings(
    make_app: Callable[..., Flask],
) -> None:
    listed = make_app(
        features=("federation",), outbound_hosts=OutboundHosts(names=frozenset({"id.example.org"}))
    )
    admin = register_caller(listed, "admin", roles=("admin",))
    body = {**WORK, "issuer": "http://id.example.org"}
    assert admin.post(PROVIDERS, json=body).status_code == 201


@pytest.mark.parametrize("trust", ["trusts_email", "trusts_mfa"])
def test_a_helper_cannot_open_accounts_by_a_trusted_provider(
    admin: Caller, helper: Caller, trust: str
) -> None:
    """Otherwise a provider of their own would sign them in as an administrator."""
    trusted = {trust: True}
    assert_problem(helper.post(PROVIDERS, json={**WORK, **trusted}), *FORBIDDEN)
    assert helper.post(PROVIDERS, json=WORK).status_code == 201
    assert helper.patch(f"{PROVIDERS}/work", json={"name": "Work"}).status_code == 200
    assert_problem(helper.patch(f"{PROVIDERS}/work", json=trusted), *FORBIDDEN)
    assert admin.patch(f"{PROVIDERS}/work", json=trusted).status_code == 200
    for change in (
        {"issuer": "https://evil.example.org"},
        {"client_secret": "another"},
        {trust: False, "enabled": False},
        {"enabled": False, "client_secret": "another"},
    ):
        assert_problem(helper.patch(f"{PROVIDERS}/work", json=change), *FORBIDDEN)
    assert helper.patch(f"{PROVIDERS}/work", json={"enabled": False}).status_code == 200
    assert_problem(helper.patch(f"{PROVIDERS}/work", json={"enabled": True}), *FORBIDDEN)
    assert helper.delete(f"{PROVIDERS}/work").status_code == 204


def test_another_issuer_is_never_sent_the_former_ones_secret(app: Flask, helper: Caller) -> None:
    """Otherwise a helper would read the secret, at a server of their own."""
    assert helper.post(PROVIDERS, json=WORK).status_code == 201
    path, moved = f"{PROVIDERS}/work", {"issuer": "https://id.example.com"}
    problem = assert_problem(helper.patch(path, json=moved), 422, "validation_failed")
    assert list(problem["errors"]) == ["client_secret"]
    assert helper.patch(path, json={"issuer": WORK["issuer"]}).status_code == 200
    assert helper.patch(path, json={**moved, "client_secret": "another"}).status_code == 200
    with app.app_context():
        assert read_secret("work") == "another"


def test_without_the_feature_there_are_no_such_calls(make_app: Callable[..., Flask]) -> None:
    client = make_app().test_client()
    assert client.get(PROVIDERS).status_code == 404
    assert PROVIDERS not in client.get("/openapi.json").get_data(as_text=True)
