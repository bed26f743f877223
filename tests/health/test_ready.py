"""`flask ready` and `flask version`."""

import json
import platform
from collections.abc import Callable
from importlib.metadata import version

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from authserve import __version__
from authserve.auth.first_administrator import make_first_link
from authserve.health import cli
from tests.support.clients import PASSWORD, register_caller
from tests.support.server import Server


@pytest.mark.gunicorn
def test_ready_waits_for_the_service_and_prints_its_address(
    server: Server, make_app: Callable[..., Flask]
) -> None:
    port = int(server.environ["PORT"])
    app = make_app(port=port, host=("127.0.0.1",), public_url="https://auth.example.com")
    result = app.test_cli_runner(capture="fd").invoke(args=["ready"])
    assert result.exit_code == 0
    assert result.stdout == (
        "authserve answers at https://auth.example.com, its API is described at "
        "https://auth.example.com/docs, and mails are printed by the worker, here with "
        "`make run`.\n"
    )
    assert "https://auth.example.com/first-administrator#" in result.stderr
    register_caller(app, "alice")
    assert app.test_cli_runner(capture="fd").invoke(args=["ready"]).stderr == ""


def test_ready_makes_no_link_in_production(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logs of deployments would hold it, and it would end the link that the operator has."""
    monkeypatch.setattr(cli, "wait_until_ready", lambda *_args, **_kwargs: True)
    app = make_app(app_env="production", public_url="https://auth.example.com")
    with app.app_context():
        given = make_first_link().partition("#")[2]
    result = app.test_cli_runner(capture="fd").invoke(args=["ready"])
    assert result.exit_code == 0
    assert "#" not in result.output
    assert result.stderr.splitlines()[-1] == "flask users first-link"
    body = {"token": given, "email": "root@example.com", "password": PASSWORD}
    path = "/api/v1/auth/first-administrator"
    assert app.test_client().post(path, json=body).status_code == 201


def test_ready_gives_up(make_app: Callable[..., Flask]) -> None:
    app = make_app(port=1)
    result = app.test_cli_runner().invoke(args=["ready", "--timeout", "0"])
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: The service was not ready within 0 s.\n",
    )


def test_version_names_ours_first(runner: FlaskCliRunner) -> None:
    lines = runner.invoke(args=["version"]).stdout.splitlines()
    assert lines[0] == f"authserve {__version__}"
    assert f"Python {platform.python_version()}" in lines
    document = json.loads(runner.invoke(args=["version", "--json"]).stdout)
    assert document["Flask"] == version("flask")
