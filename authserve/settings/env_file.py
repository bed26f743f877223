"""A strict reader of `.env`: an invalid line is a fault, as it may be a mistyped `APP_ENV`.

The format is python-dotenv's, which the `flask` command also reads, with one difference: `${NAME}`
in single quotes is not expanded, as in a shell.
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
        text: the file's content; invalid lines are ignored.
        environ: further variables for `${NAME}`; the file's own variables take precedence.
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
    """Find the invalid lines of an `.env` file.

    Args:
        text: the file's content.
        names: variables whose assignment must not appear inside another variable's value, where
            an unclosed quote would hide it.

    Yields:
        One sentence for each fault with its line number. It quotes nothing of the line except one
        of `names`.
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
