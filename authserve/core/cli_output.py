"""The output of `flask` commands: text for people, JSON with `--json`, progress, files.

Standard output carries the result alone. Hints and progress go to standard error.
"""

import json
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

import click

AS_JSON = "authserve.cli.as_json"
"""The key of the `--json` flag in click's `Context.meta`."""


def is_json() -> bool:
    """Return True if the running command has the flag `--json`."""
    return bool(click.get_current_context().meta.get(AS_JSON))


def print_hint(text: str) -> None:
    """Write a sentence that is not part of the result to standard error."""
    click.echo(escape_lines(text), err=True)


def print_result(text: str, **document: Any) -> None:
    """Write a command's result: `text` for people, `document` with `--json`."""
    if is_json():
        print_document(document)
    else:
        click.echo(escape_lines(text))


def print_line(text: str) -> None:
    """Write a line for people, with control characters from untrusted input escaped."""
    click.echo(escape_controls(text))


def escape_controls(text: str) -> str:
    """Return the text on one line, with characters that could control a terminal escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def escape_lines(text: str) -> str:
    """Return the text with its lines, and each line as `escape_controls` returns it."""
    return "\n".join(map(escape_controls, text.split("\n")))


def print_document(document: Any, *, is_one_of_many: bool = False) -> None:
    """Write one object as JSON, on a single line if it is one of many."""
    click.echo(write_json(document, indent=None if is_one_of_many else 2))


def write_json(document: Any, *, indent: int | None = None) -> str:
    """Return an object as JSON in which no character can control a terminal.

    JSON itself escapes only the controls below U+0020 (RFC 8259 §7), not DEL, those from U+0080 on
    (ECMA-48's CSI among them), nor marks that reorder a line. The value stays the same.
    """
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    return text if text.isprintable() else "".join(map(_escape_in_json, text))


def _escape_in_json(character: str) -> str:
    # Outside of texts, JSON has no other unprintable character than the line ends of `indent`.
    if character.isprintable() or character == "\n":
        return character
    return json.dumps(character)[1:-1]


WIDTH_ROWS = 200
"""Rows read before the first line of a table is written, to measure its columns (chosen)."""


def print_rows(
    rows: Iterable[Mapping[str, Any]], *, columns: Mapping[str, str], empty: str
) -> None:
    """Write a list: a table with a header for people, one JSON object a line with `--json`.

    Rows are written as they come, so a list of any length needs bounded memory.

    Args:
        rows: documents that JSON can express.
        columns: maps each header of the table to the key of its column.
        empty: the hint for people if there are no rows.
    """
    if is_json():
        for row in rows:
            print_document(row, is_one_of_many=True)
        return
    remaining = iter(rows)
    first = [_cells(row, columns) for row in islice(remaining, WIDTH_ROWS)]
    if not first:
        print_hint(empty)
        return
    header = list(columns)
    widths = [max(map(_width, column)) for column in zip(header, *first, strict=True)]
    for cells in chain([header], first, (_cells(row, columns) for row in remaining)):
        click.echo(_line(cells, widths))


def _cells(row: Mapping[str, Any], columns: Mapping[str, str]) -> list[str]:
    return [_cell(row[key]) for key in columns.values()]


def _cell(value: Any) -> str:
    if value is None or value in ("", []):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return escape_controls(text)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True)
    )
    return "  ".join(padded).rstrip()


def _width(text: str) -> int:
    """Return the terminal columns that a text takes (UAX #11: wide characters take two)."""
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


@contextmanager
def progress_bar(length: int, label: str) -> Iterator[Callable[[int], None]]:
    """Show a progress bar if standard error is a terminal; yield its update function."""
    is_hidden = not sys.stderr.isatty()
    with click.progressbar(length=length, label=label, file=sys.stderr, hidden=is_hidden) as bar:
        yield bar.update


@contextmanager
def open_output(file: Path) -> Iterator[TextIO]:
    """Open a new file as `open_new_file` does, or standard output for `-`.

    A file that could not be completed is deleted.

    Raises:
        click.ClickException: the file exists already or cannot be created.
    """
    if _is_stdout(file):
        yield sys.stdout
        return
    target = open_new_file(file)
    try:
        with target:
            yield target
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def open_new_file(file: Path) -> TextIO:
    """Create a file that only its owner can read (0600); an existing file is never overwritten.

    Raises:
        click.ClickException: the file exists already or cannot be created.
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        reason = "exists already" if isinstance(error, FileExistsError) else error.strerror
        raise click.ClickException(f"{file} cannot be made: {reason}.") from error
    return os.fdopen(descriptor, "w", encoding="utf-8")


def print_written(file: Path, what: str, count: int) -> None:
    """Report the number of things that an export wrote to a file.

    Nothing is reported if the export itself went to standard output.

    Args:
        what: the plural of what was written, for example `events`.
    """
    if _is_stdout(file):
        return
    if is_json():
        print_document({what: count, "file": str(file)})
    else:
        print_hint(f"{count} {what} written to {file}.")


def _is_stdout(file: Path) -> bool:
    return str(file) == "-"
