"""Files of registered things, which `flask` commands export and import: a JSON object a line."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from authserve.core.cli_output import open_output, print_written, write_json
from authserve.core.errors import AuthserveError, ValidationFailedError


def export_objects(file: Path, documents: Iterable[Mapping[str, Any]], *, noun: str) -> None:
    """Write each document on a line of a new file, and report their number.

    Args:
        file: `-` is standard output.
        noun: the plural of what is exported.
    """
    count = 0
    with open_output(file) as target:
        for document in documents:
            target.write(write_json(document) + "\n")
            count += 1
    print_written(file, noun, count)


def import_objects(lines: Iterable[str], register: Callable[[dict[str, Any]], object]) -> int:
    """Call `register` with the object of each line, and return their number.

    The caller's transaction makes it all or nothing; blank lines are skipped.

    Raises:
        click.ClickException: a line is no object, or `register` refuses it; it names the line.
    """
    count = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            register(_parse(line))
        except AuthserveError as error:
            raise click.ClickException(f"line {number}: {_explain(error)}") from error
        count += 1
    return count


class RepeatedKeyError(Exception):
    """An object has the same key twice, so it is not clear which value is meant."""


def unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of these pairs, for the `object_pairs_hook` of `json`.

    Raises:
        RepeatedKeyError: two pairs have the same key.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RepeatedKeyError
    return found


def _parse(line: str) -> dict[str, Any]:
    try:
        document = json.loads(line, object_pairs_hook=unique_object)
    except RepeatedKeyError as error:
        raise ValidationFailedError({"line": ["An object has the same key twice."]}) from error
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ValidationFailedError({"line": ["Not a JSON object."]})
    return document


def _explain(error: AuthserveError) -> str:
    if not isinstance(error, ValidationFailedError):
        return error.detail
    return "; ".join(f"{name}: {' '.join(faults)}" for name, faults in error.errors.items())
