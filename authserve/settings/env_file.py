"""Reading `.env` strictly: a line that means nothing is a fault, as it may have meant production.

The format is python-dotenv's, which also the `flask` command reads, with one difference: `${NAME}`
in single quotes stays as it is, as in a shell.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from io import StringIO

from dotenv.parser import Binding, parse_stream
from dotenv.variables import parse_variables

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")

_IS_SINGLE_QUOTED = re.compile(r"[^=]*=[^\S\r\n]*'")


_ASSIGNED = re.compile(r"^\s*(?:export\s+)?([A-Za-z0-9_]+)\s*=", re.MULTILINE)


def read_env_text(text: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the text of an `.env` file sets.

    Args:
        text: the file's content; lines that mean nothing are left out.
        environ: what `${NAME}` may refer to beside the file's own variables, which win.
    """
    values: dict[str, str] = {}
    for binding in _read_bindings(text):
        if binding.key is None or binding.value is None:
            continue
        value = binding.value
        if not _IS_SINGLE_QUOTED.match(binding.original.string):
            known = {**environ, **values}
            value = "".join(atom.resolve(known) for atom in parse_variables(value))
        values[binding.key] = value
    return values


def find_env_faults(text: str, names: Collection[str]) -> Iterator[str]:
    """Find the lines of an `.env` file that mean nothing.

    Args:
        text: the file's content.
        names: variables that no other variable's value may contain the assignment of; else a quote
            that is not closed would hide it.

    Yields:
        One sentence for each, with the line's number and nothing of its content but such a name.
    """
    for binding in _read_bindings(text):
        line = _first_line(binding)
        if binding.error or (binding.key and not _is_assignment(binding)):
            yield f".env: line {line} must be NAME=value, with every quote closed"
        elif hidden := _find_hidden(binding.value or "", names):
            yield f".env: the value that begins on line {line} hides {hidden}; close its quote"


def _read_bindings(text: str) -> Iterator[Binding]:
    return parse_stream(StringIO(text))


def _is_assignment(binding: Binding) -> bool:
    return binding.value is not None and _NAME.fullmatch(binding.key or "") is not None


def _find_hidden(value: str, names: Collection[str]) -> str | None:
    after_first_line = value.partition("\n")[2]
    return next((name for name in _ASSIGNED.findall(after_first_line) if name in names), None)


def _first_line(binding: Binding) -> int:
    # The parser counts empty lines before a statement as its own.
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
