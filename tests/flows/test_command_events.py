"""Each command that changes something leaves an event, by the operator, that names the command."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskCliRunner

from tests.support.audit import all_events, count_events
from tests.support.clients import Caller

STEPS = """
users create bob@example.com
users invite carol@example.com
users deactivate bob@example.com
users activate bob@example.com
users grant alice bob@example.com admin
users revoke bob@example.com admin --yes
users unlock bob@example.com
users reset-link bob@example.com
users mfa-reset bob@example.com --yes
users export {folder}/users.ndjson --with-secrets
users delete bob@example.com --yes
users import {folder}/new.ndjson
sessions revoke --user alice
roles create clerk
roles requires-mfa clerk on
roles delete clerk
clients create wiki --redirect-uri https://wiki.example.com/callback --scope openid
clients update wiki --set name=Wiki
clients rotate-secret wiki
clients disable wiki
clients enable wiki
clients revoke wiki
clients export {folder}/clients.ndjson
clients delete wiki --yes
providers add google --client-id one --client-secret-file {folder}/secret.txt
providers update google --client-id two
providers disable google
providers enable google
providers export {folder}/providers.ndjson
providers delete google --yes
providers import {folder}/providers.ndjson
keys rotate
"""
"""Commands in an order in which each can do something."""

SILENT = {"clients export", "providers export"}
"""Commands that leave no event."""

ERASED = "users delete"
"""The command whose event loses its details with those of its user."""


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with the commands of every feature."""
    return make_app(features=("oidc", "federation", "api-keys"))


def run(runner: FlaskCliRunner, line: str, folder: Path) -> Result:
    return runner.invoke(args=line.format(folder=folder).split())


def test_every_event_of_a_command_names_it(
    app: Flask, runner: FlaskCliRunner, alice: Caller, tmp_path: Path
) -> None:
    (tmp_path / "secret.txt").write_text("a secret of the provider's own\n")
    (tmp_path / "new.ndjson").write_text('{"email": "dave@example.com"}\n')
    for line in STEPS.strip().splitlines():
        name = " ".join(line.split()[:2])
        with app.app_context():
            before = count_events()
        result = run(runner, line, tmp_path)
        assert result.exit_code == 0, (line, result.output)
        with app.app_context():
            events = all_events(skip=before)
        found = {(event.actor, event.user_agent, event.ip) for event in events}
        agent = f"flask {name}" if name != ERASED else None
        assert found == (set() if name in SILENT else {(None, agent, None)}), line
