"""`flask clients`."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from authserve.clients.authentication import ClientCredentials, find_authenticated_client
from authserve.core.clock import now

CALLBACK = "https://wiki.example.com/callback"

CREATE = ("create", "wiki", "--redirect-uri", CALLBACK, "--scope", "openid")


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with clients."""
    return make_app(features=("oidc",))


def is_secret_of(client_id: str, secret: str, *, now: datetime) -> bool:
    credentials = ClientCredentials(client_id=client_id, secret=secret)
    return find_authenticated_client(credentials, now=now) is not None


def run(runner: FlaskCliRunner, *args: str) -> Any:
    result = runner.invoke(args=["clients", *args])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def fail(runner: FlaskCliRunner, *args: str) -> str:
    result = runner.invoke(args=["clients", *args])
    assert result.exit_code == 1, result.output
    return result.stderr


def test_a_client_is_created_with_a_secret_that_is_shown_once(
    app: Flask, runner: FlaskCliRunner
) -> None:
    made = run(runner, *CREATE, "--set", "first_party=true", "--set", "access_token_ttl=300")
    secret = made.pop("client_secret")
    assert run(runner, "show", "wiki") == made
    assert secret not in json.dumps(made)
    assert (made["redirect_uris"], made["first_party"], made["access_token_ttl"]) == (
        [CALLBACK],
        True,
        300,
    )
    with app.app_context():
        assert is_secret_of("wiki", secret, now=now())


def test_a_proxy_has_origins_and_fixed_scopes(runner: FlaskCliRunner) -> None:
    made = run(runner, "create", "files", "--kind", "proxy", "--origin", "https://f.example.com")
    assert (made["auth_method"], made["origins"]) == ("internal", ["https://f.example.com"])
    assert made["scopes"] == ["openid", "profile", "email", "groups"]
    assert "client_secret" not in made


def test_an_installed_app_has_no_secret(runner: FlaskCliRunner) -> None:
    uri = "com.example.app:/callback"
    made = run(runner, "create", "app", "--kind", "native", "--redirect-uri", uri)
    assert "client_secret" not in made
    assert made["auth_method"] == "none"
    assert "have no secret" in fail(runner, "rotate-secret", "app")


def test_a_secret_is_rotated_without_an_outage(app: Flask, runner: FlaskCliRunner) -> None:
    old = run(runner, *CREATE)
    new = run(runner, "rotate-secret", "wiki", "--days", "30")
    assert new["expires_at"] is not None
    assert "two secrets" in fail(runner, "rotate-secret", "wiki")
    run(runner, "delete-secret", "wiki", old["secrets"][0]["id"], "--json")
    assert [secret["id"] for secret in run(runner, "show", "wiki")["secrets"]] == [new["id"]]
    with app.app_context():
        assert is_secret_of("wiki", new["client_secret"], now=now())
        assert not is_secret_of("wiki", old["client_secret"], now=now())
    newest = run(runner, "rotate-secret", "wiki", "--drop", new["id"])
    assert [secret["id"] for secret in run(runner, "show", "wiki")["secrets"]] == [newest["id"]]


def test_a_client_is_changed_listed_revoked_and_deleted(runner: FlaskCliRunner) -> None:
    run(runner, *CREATE)
    claims = '[{"name": "role", "from": "roles", "map": [["admin", "Admin"]], "in": ["userinfo"]}]'
    changed = run(runner, "update", "wiki", "--set", "name=Docs", "--set", f"claims={claims}")
    assert (changed["name"], changed["claims"]) == ("Docs", json.loads(claims))
    assert not run(runner, "disable", "wiki")["enabled"]
    assert run(runner, "enable", "wiki")["enabled"]
    assert run(runner, "list", "--json")["client_id"] == "wiki"
    assert run(runner, "revoke", "wiki", "--json")["is_revoked"]
    assert run(runner, "delete", "wiki", "--yes", "--json")["is_deleted"]
    assert "no such client" in fail(runner, "show", "wiki")
    assert "never used again" in fail(runner, *CREATE)


@pytest.mark.parametrize(
    ("args", "field"),
    [
        (("create", "wiki"), "redirect_uris"),
        ((*CREATE, "--scope", "phone"), "scopes"),
        ((*CREATE, "--set", "colour=red"), "colour"),
        ((*CREATE, "--set", "require_pkce=no"), "require_pkce"),
        ((*CREATE, "--set", 'claims=[{"name": "a", "from": "password"}]'), "claims.0.from"),
        ((*CREATE, "--set", 'scopes="openid"'), "scopes"),
        ((*CREATE, "--set", "access_token_ttl=3601"), "access_token_ttl"),
        (("create", "Wiki", *CREATE[2:]), "client_id"),
    ],
)
def test_it_names_the_field_at_fault(
    runner: FlaskCliRunner, args: tuple[str, ...], field: str
) -> None:
    assert f"{field}: " in fail(runner, *args)


def test_it_says_how_a_value_is_written(runner: FlaskCliRunner) -> None:
    said = fail(runner, *CREATE, "--set", "scopes=openid")
    assert 'scopes: Not a list of texts, such as ["a", "b"].' in said
    said = fail(runner, *CREATE, "--set", 'allowed_roles=["Staff"]')
    assert "allowed_roles.0: 1 to 64 small letters" in said


def test_a_value_needs_a_name(runner: FlaskCliRunner) -> None:
    result = runner.invoke(args=["clients", "update", "wiki", "--set", "name"])
    assert (result.exit_code, "name=value" in result.stderr) == (2, True)
