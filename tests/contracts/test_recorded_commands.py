"""Each `flask` command of ours takes the arguments that are recorded: scripts depend on them.

`pytest tests/contracts --record-answers` records them anew.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from flask import Flask

from tests.contracts.records import written
from tests.support.operations import API_FEATURES

RECORD = Path(__file__).parent / "commands.json"

FOREIGN = {"db"}

WORDS = {"name", "param_type_name", "opts", "secondary_opts", "help", "prompt"}
"""What names and explains a parameter."""


def test_the_commands_are_as_recorded(
    make_app: Callable[..., Flask], request: pytest.FixtureRequest
) -> None:
    cli = make_app(features=API_FEATURES).cli
    described = cli.to_info_dict(click.Context(cli, info_name="flask"))["commands"]
    shape = {name: shape_of(command) for name, command in described.items() if name not in FOREIGN}
    text = written(shape) + "\n"
    if request.config.getoption("record_answers"):
        RECORD.write_text(text)
    assert json.loads(text) == json.loads(RECORD.read_text())


def shape_of(command: dict[str, Any]) -> dict[str, Any]:
    """Return what scripts depend on of a command or a group of commands."""
    parameters = {
        " ".join(each["opts"] + each["secondary_opts"]): set_properties(each)
        for each in command["params"]
        if "--help" not in each["opts"]
    }
    inner = command.get("commands", {})
    return parameters | {name: shape_of(each) for name, each in inner.items()}


def set_properties(described: dict[str, Any]) -> dict[str, Any]:
    """Return the properties of a parameter, or of its type, that are not as usual."""
    return {
        name: set_properties(value) if isinstance(value, dict) else value
        for name, value in described.items()
        if name not in WORDS and value is not None and value is not False
    }
