"""Every `flask` command of ours explains itself."""

import re
from collections.abc import Callable, Iterator

import click
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from authserve.core.cli import BaseCommand, Command
from tests.support.operations import API_FEATURES

FOREIGN = {"db", "openapi", "routes", "run", "shell"}
"""Commands of Flask and its extensions."""


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with the commands of every feature."""
    return make_app(features=API_FEATURES)


@pytest.fixture
def commands(app: Flask) -> dict[str, click.Command]:
    """All commands by name, those of groups with the group's before it."""
    return {
        " ".join(path): command
        for name, child in app.cli.commands.items()
        if name not in FOREIGN
        for path, command in _leaves((name,), child)
    }


def _leaves(
    path: tuple[str, ...], command: click.Command
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name, child in command.commands.items():
        yield from _leaves((*path, name), child)


def test_every_command_reports_its_errors_and_has_json(commands: dict[str, click.Command]) -> None:
    """Make commands of `authserve.core.cli.Group`, or with `cls=Command`."""
    assert [name for name, one in commands.items() if not isinstance(one, BaseCommand)] == []
    without_json = [name for name, one in commands.items() if not isinstance(one, Command)]
    # The worker answers nothing: it logs.
    assert without_json == ["worker"]
    for command in commands.values():
        names = [option for param in command.params for option in param.opts]
        assert len(names) == len(set(names))


def test_every_command_has_help_with_an_example_on_a_line_of_its_own(
    commands: dict[str, click.Command], runner: FlaskCliRunner
) -> None:
    assert "users create" in commands
    for command in commands:
        result = runner.invoke(args=[*command.split(), "--help"])
        assert result.exit_code == 0
        assert re.search(rf"\n  Examples?:\n    flask {command}\b", result.stdout), result.stdout
