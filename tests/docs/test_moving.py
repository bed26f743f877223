"""docs/moving.md names every format, and no option that there is not."""

import re
import shlex

import click
import pytest

import config
from authserve.transfer.cli import import_command
from authserve.transfer.sources import SOURCES

PAGE = (config.ROOT / "docs/moving.md").read_text(encoding="utf-8")

COMMANDS = [
    line.partition("flask users import ")[2]
    for line in re.findall(r"^.*flask users import .*$", PAGE, re.MULTILINE)
    if not line.startswith("|")
]


def test_every_format_is_named() -> None:
    table = PAGE[PAGE.index("| `--format` | file |") :].partition("\n\n")[0]
    assert re.findall(r"^\| `([a-z][a-z0-9-]*)` \|", table, re.MULTILINE) == list(SOURCES)


def test_there_are_commands_to_paste() -> None:
    formats = {found for line in COMMANDS for found in re.findall(r"--format (\S+)", line)}
    assert formats == set(SOURCES) - {"authserve"}


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_has_options_that_exist(line: str) -> None:
    names = {name for param in import_command.params for name in param.opts}
    words = [word for word in shlex.split(line) if word.startswith("--")]
    assert set(words) <= names
    values = dict(zip(shlex.split(line), shlex.split(line)[1:], strict=False))
    option = next(param for param in import_command.params if param.name == "file_format")
    assert isinstance(option.type, click.Choice)
    assert values.get("--format", "authserve") in option.type.choices


def test_every_option_is_on_the_page() -> None:
    options = {param.opts[-1] for param in import_command.params if param.opts[-1] != "file"}
    named = set(re.findall(r"`(--[a-z-]+)", PAGE))
    assert options - {"--json"} <= named
