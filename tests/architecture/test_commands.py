"""Every `flask` command of ours explains itself."""

import re
from collections.abc import Iterator

import click
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

FOREIGN = {"db", "openapi", "routes", "run", "shell"}
"""What Flask and its extensions bring along."""


@pytest.fixture
def commands(app: Flask) -> list[str]:
    """The names of all commands, those of groups with the group's before them."""
    return [
        " ".join(path)
        for name, command in app.cli.commands.items()
        if name not in FOREIGN
        for path in _paths((name,), command)
    ]


def _paths(path: tuple[str, ...], command: click.Command) -> Iterator[tuple[str, ...]]:
    if not isinstance(command, click.Group):
        yield path
        return
    for name, child in command.commands.items():
        yield from _paths((*path, name), child)


def test_every_command_has_help_with_an_example_on_a_line_of_its_own(
    commands: list[str], runner: FlaskCliRunner
) -> None:
    assert "users create" in commands
    for command in commands:
        result = runner.invoke(args=[*command.split(), "--help"])
        assert result.exit_code == 0
        assert re.search(rf"\n  Examples?:\n    flask {command}\b", result.stdout), result.stdout
