"""`flask providers`, and the values that a provider can have."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from authserve.core.crypto import UndecryptableError
from authserve.federation.errors import ProviderNotFoundError
from authserve.federation.secrets import read_secret, rewrap_secrets
from tests.support.clients import register_caller
from tests.support.identities import give_identity
from tests.support.marks import both_databases

SECRET = "GOCSPX-a secret / of the provider's"

TENANT = "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with providers."""
    return make_app(features=("federation",))


@pytest.fixture
def google(tmp_path: Path) -> tuple[str, ...]:
    """The two lines that add Google."""
    file = tmp_path / "google.txt"
    file.write_text(f"{SECRET}\n")
    return ("google", "--client-id", "1234.apps", "--client-secret-file", str(file))


def run(runner: FlaskCliRunner, *args: str, **options: Any) -> Any:
    result = runner.invoke(args=["providers", *args], **options)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def fail(runner: FlaskCliRunner, *args: str) -> str:
    result = runner.invoke(args=["providers", *args])
    assert result.exit_code in (1, 2), result.output
    return result.stderr


@both_databases
def test_a_preset_needs_two_values_and_prints_the_redirect_uri(
    app: Flask, runner: FlaskCliRunner, google: tuple[str, ...]
) -> None:
    printed = runner.invoke(args=["providers", "add", *google])
    made = json.loads(printed.stdout)
    assert made["redirect_uri"] == "http://localhost:8000/sign-in/with/google/callback"
    assert made["redirect_uri"] in printed.stderr
    assert "flask providers check google" in printed.stderr
    assert made["issuer"] == "https://accounts.google.com"
    assert (made["link"], made["trusts_email"], made["sign_up"]) == ("confirm", False, True)
    assert SECRET not in json.dumps(made)
    assert run(runner, "show", "google") == made
    with app.app_context():
        assert read_secret("google") == SECRET
    assert "There is a provider with this slug" in fail(runner, "add", *google)


def test_values_change_one_by_one(
    app: Flask, runner: FlaskCliRunner, google: tuple[str, ...]
) -> None:
    made = run(runner, "add", *google)
    domains = ("--allowed-domain", "Example.com", "--allowed-domain", "bücher.example")
    changed = run(runner, "update", "google", "--link", "verified", "--trusts-email", *domains)
    expected = {
        "link": "verified",
        "trusts_email": True,
        "allowed_domains": ["example.com", "xn--bcher-kva.example"],
    }
    assert changed == {**made, **expected, "updated_at": changed["updated_at"]}
    assert run(runner, "disable", "google")["enabled"] is False
    assert run(runner, "enable", "google")["enabled"] is True
    run(runner, "update", "google", "--client-secret-file", "-", input="another\n")
    with app.app_context():
        assert read_secret("google") == "another"


def test_a_deleted_provider_is_gone(
    app: Flask, runner: FlaskCliRunner, google: tuple[str, ...]
) -> None:
    run(runner, "add", *google)
    assert runner.invoke(args=["providers", "delete", "google", "--yes"]).exit_code == 0
    assert "There is no provider." in runner.invoke(args=["providers", "list"]).output
    for command in ("show", "disable", "delete"):
        assert "There is no such provider" in fail(runner, command, "google")
    with app.app_context(), pytest.raises(ProviderNotFoundError):
        read_secret("google")


@pytest.mark.parametrize(
    ("preset", "options", "fault"),
    [
        ("oidc", (), "issuer"),
        ("microsoft", (), "issuer"),
        ("microsoft", ("--issuer", "https://login.microsoftonline.com/common/v2.0"), "tenant"),
        ("oidc", ("--issuer", "http://id.example.org"), "OUTBOUND_HOSTS"),
        ("oidc", ("--issuer", "https://user@id.example.org"), "issuer"),
        ("oidc", ("--issuer", "https://id.example.org?x=1"), "issuer"),
        ("oidc", ("--issuer", "https://id.example.org:99999"), "issuer"),
        ("oidc", ("--issuer", "id.example.org"), "issuer"),
        ("oidc", ("--issuer", "https://id.example.org/a\x7fb"), "issuer"),
        ("google", ("--slug", "Google"), "slug"),
        ("google", ("--slug", "a/b"), "slug"),
        ("google", ("--scope", "email"), "openid is missing"),
        ("google", ("--scope", 'openid"'), "quotation marks"),
        ("google", ("--allowed-domain", "no domain"), "allowed_domains"),
    ],
)
def test_a_value_that_cannot_be_is_told_in_words(
    runner: FlaskCliRunner, tmp_path: Path, preset: str, options: tuple[str, ...], fault: str
) -> None:
    file = tmp_path / "secret.txt"
    file.write_text(SECRET)
    given = ("--client-id", "1234", "--client-secret-file", str(file), *options)
    assert fault in fail(runner, "add", preset, *given)
    assert "There is no provider." in runner.invoke(args=["providers", "list"]).output


@pytest.mark.parametrize(
    ("preset", "options"),
    [
        ("microsoft", ("--issuer", TENANT)),
        ("github", ()),
        ("gitlab", ("--issuer", "https://git.example.com")),
        ("oidc", ("--slug", "work", "--issuer", "https://id.example.org/realms/work")),
    ],
)
def test_every_preset_can_be_added(
    runner: FlaskCliRunner, google: tuple[str, ...], preset: str, options: tuple[str, ...]
) -> None:
    assert run(runner, "add", preset, *google[1:], *options)["preset"] == preset


@pytest.mark.parametrize("text", ["", " \n", "x" * 1_001])
def test_a_file_without_a_secret_is_told(
    runner: FlaskCliRunner, google: tuple[str, ...], text: str
) -> None:
    Path(google[-1]).write_text(text)
    assert "The file has no secret" in fail(runner, "add", *google)


@both_databases
def test_secrets_are_encrypted_anew(
    make_app: Callable[..., Flask], runner: FlaskCliRunner, google: tuple[str, ...]
) -> None:
    run(runner, "add", *google)
    former = "a secret for tests alone, 0123456789"
    new = {"features": ("federation",), "secret_key": "another secret for tests, 9876543210"}
    with make_app(**new).app_context():
        with pytest.raises(UndecryptableError):
            read_secret("google")
        assert rewrap_secrets() == (0, 1)
    # The feature may be off meanwhile: the former secret is dropped all the same.
    off = make_app(**{**new, "features": ()}, secret_key_fallbacks=(former,)).test_cli_runner()
    result = off.invoke(args=["keys", "rewrap"])
    assert "1 provider secret encrypted under the current SECRET_KEY." in result.stdout
    with make_app(**new).app_context():
        assert read_secret("google") == SECRET


def test_it_says_that_an_issuer_has_identities_from_before(
    app: Flask, runner: FlaskCliRunner, google: tuple[str, ...]
) -> None:
    give_identity(app, register_caller(app, "alice").id)
    runner.invoke(args=["providers", "delete", "google", "--yes"])
    printed = runner.invoke(args=["providers", "add", *google])
    assert "Linked identities of this issuer: 1." in printed.stderr
