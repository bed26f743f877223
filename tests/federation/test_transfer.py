"""`flask providers export` and `flask providers import`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from authserve.federation.policy import LinkPolicy
from authserve.federation.presets import Preset
from authserve.federation.registry import list_providers
from authserve.federation.secrets import read_secret
from tests.support.identity_providers import SECRET, give_provider

FORMER = "a secret for tests alone, 0123456789"

OTHER = "another secret for tests, 9876543210"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with two providers."""
    app = make_app(features=("federation",))
    give_provider(app, trusts_email=True, allowed_domains=frozenset({"example.com"}))
    values = {"issuer": "https://id.example.org", "link": LinkPolicy.NEVER, "enabled": False}
    give_provider(app, "work", preset=Preset.OIDC, **values)
    return app


@pytest.fixture
def exported(runner: FlaskCliRunner, tmp_path: Path) -> Path:
    """Their export."""
    file = tmp_path / "providers.ndjson"
    result = runner.invoke(args=["providers", "export", str(file)])
    assert result.exit_code == 0, result.output
    return file


def delete_all(runner: FlaskCliRunner) -> None:
    for slug in ("google", "work"):
        runner.invoke(args=["providers", "delete", slug, "--yes"])


def configurations(app: Flask) -> list[Any]:
    with app.app_context():
        return [provider.configuration for provider in list_providers()]


def test_providers_move_with_their_sealed_secrets(
    make_app: Callable[..., Flask], app: Flask, runner: FlaskCliRunner, exported: Path
) -> None:
    before = configurations(app)
    assert SECRET not in exported.read_text()
    delete_all(runner)
    new = make_app(features=("federation",), secret_key=OTHER, secret_key_fallbacks=(FORMER,))
    result = new.test_cli_runner().invoke(args=["providers", "import", str(exported)])
    assert (result.exit_code, result.stdout) == (0, "2 providers registered.\n")
    assert configurations(app) == before
    with make_app(features=("federation",), secret_key=OTHER).app_context():
        assert read_secret("work") == SECRET


def change(line: dict[str, Any], **values: Any) -> str:
    return json.dumps({**line, **values})


def leave_out(line: dict[str, Any], name: str) -> str:
    return json.dumps({other: value for other, value in line.items() if other != name})


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda line: "{", "line 2: line: Not a JSON object."),
        (lambda line: change(line, surprise=1), "line 2: surprise: Unknown field."),
        (lambda line: change(line, client_secret="x"), "line 2: client_secret: Unknown field."),
        (lambda line: change(line, issuer="http://id.example"), "line 2: issuer: "),
        (lambda line: leave_out(line, "slug"), "line 2: slug: Missing data"),
        (lambda line: leave_out(line, "sealed_secret"), "line 2: sealed_secret: Missing data"),
        (lambda line: change(line, sealed_secret="!"), "line 2: sealed_secret: Not base64."),
        (lambda line: change(line, sealed_secret="AAAA"), "line 2: sealed_secret: No SECRET_KEY"),
        (lambda line: change(line, slug="other"), "line 2: sealed_secret: No SECRET_KEY"),
        (lambda line: change(line, slug="google"), "line 2: sealed_secret: No SECRET_KEY"),
    ],
    ids=[
        "no object",
        "field",
        "secret",
        "issuer",
        "no slug",
        "no seal",
        "base64",
        "sealed",
        "new slug",
        "slug of other",
    ],
)
def test_a_fault_names_its_line_and_registers_none(
    app: Flask,
    runner: FlaskCliRunner,
    exported: Path,
    spoil: Callable[[dict[str, Any]], str],
    fault: str,
) -> None:
    first, second = exported.read_text().splitlines()
    delete_all(runner)
    exported.write_text(f"{first}\n{spoil(json.loads(second))}\n")
    result = runner.invoke(args=["providers", "import", str(exported)])
    assert result.exit_code == 1
    assert fault in result.stderr
    assert configurations(app) == []


def test_a_provider_that_is_there_is_not_replaced(
    app: Flask, runner: FlaskCliRunner, exported: Path
) -> None:
    before = configurations(app)
    result = runner.invoke(args=["providers", "import", str(exported)])
    assert "line 1: There is a provider with this slug already." in result.stderr
    assert configurations(app) == before
