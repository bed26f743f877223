"""Presets of clients, and the settings that they print for the app."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskCliRunner

from authserve.clients.configuration import find_faults
from authserve.clients.presets import PRESETS, describe_settings, preset_values
from authserve.clients.schemas import NewClientSchema, to_configuration
from authserve.settings.model import Settings
from tests.conftest import make_settings

URL = "https://app.example.com"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with clients."""
    return make_app(features=("oidc",))


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of production, whose rules for addresses are the strictest."""
    made = make_settings("sqlite://", tmp_path_factory.mktemp("instance"))
    return replace(made, app_env="production", public_url="https://id.example.com")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_makes_a_client_that_production_accepts(settings: Settings, name: str) -> None:
    given: dict[str, Any] = {"client_id": "app", "name": "App", **preset_values(PRESETS[name], URL)}
    configuration = to_configuration(NewClientSchema().load(given))
    assert find_faults(configuration, settings=settings) == {}


@pytest.mark.parametrize("name", PRESETS)
def test_its_facts_have_a_source_with_a_day(name: str) -> None:
    source = PRESETS[name].source
    assert re.search(r"(read|on) 2026-11-\d\d$", source) or "of this release" in source


@pytest.mark.parametrize("name", PRESETS)
def test_its_settings_leave_no_name_open(name: str) -> None:
    names = ("issuer", "url", "client_id", "secret", "redirect_uri", "scopes", "resources")
    text = describe_settings(PRESETS[name], {each: f"<{each}>" for each in names})
    assert "{" not in text
    has_secret = PRESETS[name].kind in ("web", "machine")
    assert ("<secret>" in text) is has_secret
    assert "<issuer>" in text


def run(runner: FlaskCliRunner, *args: str) -> Result:
    return runner.invoke(args=["clients", *args])


def test_the_command_prints_the_apps_settings_with_the_secret(runner: FlaskCliRunner) -> None:
    result = run(runner, "create", "grafana", "--preset", "grafana", "--url", f"{URL}/")
    assert result.exit_code == 0, result.output
    assert re.search(r"^client_secret = as_cs_\w+$", result.stdout, re.MULTILINE)
    assert "know people by the claim sub" in result.stderr
    shown = json.loads(run(runner, "show", "grafana").stdout)
    assert shown["redirect_uris"] == [f"{URL}/login/generic_oauth"]
    assert shown["claims"][0]["name"] == "grafana_role"


def test_options_take_precedence_over_the_preset(runner: FlaskCliRunner) -> None:
    args = ("create", "git", "--preset", "gitea", "--url", URL, "--json")
    other = ("--redirect-uri", f"{URL}/other", "--set", "require_pkce=true")
    made = json.loads(run(runner, *args, *other).stdout)
    assert (made["redirect_uris"], made["require_pkce"]) == ([f"{URL}/other"], True)
    assert made["client_secret"] in made["settings"]


@pytest.mark.parametrize(
    "args",
    [("--preset", "grafana"), ("--preset", "proxy"), ("--url", URL)],
    ids=["app without url", "proxy without url", "url without preset"],
)
def test_a_preset_and_the_address_belong_together(
    runner: FlaskCliRunner, args: tuple[str, ...]
) -> None:
    result = run(runner, "create", "app", *args)
    assert (result.exit_code, "--url" in result.stderr) == (2, True)
