"""The parts that every `flask` command shares: output, errors, confirmation, standard input.

Standard output carries the result alone: text for people, JSON with `--json`. Hints, progress and
errors go to standard error. A command that fails writes its error there and exits with status 1.
"""

import codecs
import json
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO, TypeVar

import click
from flask.cli import AppGroup
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from authserve.core.errors import AuthserveError, ValidationFailedError
from authserve.core.identifiers import InvalidIdentifierError

T = TypeVar("T")

_AS_JSON = "authserve.cli.as_json"
"""The key of the `--json` flag in click's `Context.meta`."""


class BaseCommand(click.Command):
    """A command that writes UTF-8 and reports refusals without a traceback."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Prepare the streams before anything is written, `--help` included."""
        use_utf8()
        return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command and report its errors."""
        with reporting_errors():
            return super().invoke(ctx)


class Command(BaseCommand):
    """A command with `--json`; `print_result`, `print_rows` and `print_document` obey the flag."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(
                ["--json"],
                is_flag=True,
                expose_value=False,
                callback=_set_json,
                help="Write JSON to standard output, for scripts.",
            )
        )


class Group(AppGroup):
    """A group whose commands are `Command`s with an application context."""

    command_class = Command

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Prepare the streams before anything is written, `--help` included."""
        use_utf8()
        return super().make_context(*args, **kwargs)


def _set_json(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    ctx.meta[_AS_JSON] = value


def is_json() -> bool:
    """Return True if the running command has the flag `--json`."""
    return bool(click.get_current_context().meta.get(_AS_JSON))


def use_utf8() -> None:
    """Write UTF-8 to standard output and standard error in every locale."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


# Errors


@contextmanager
def reporting_errors() -> Iterator[None]:
    """Report errors of a command's work on standard error, with exit status 1.

    Bugs, and rows that the database rejects, keep their traceback. Output is flushed here, so
    that a closed pipe or a full disk fails the command instead of the interpreter's exit.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except ValidationFailedError as error:
        lines = [f"{name}: {' '.join(messages)}" for name, messages in error.errors.items()]
        raise click.ClickException("\n".join(lines)) from error
    except (AuthserveError, InvalidIdentifierError) as error:
        raise click.ClickException(str(error)) from error
    except (DataError, IntegrityError):
        raise
    except (DBAPIError, PoolTimeoutError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        raise click.ClickException(
            f"The database does not serve ({reason}). "
            "Is DATABASE_URL right, and has `flask db upgrade` been run?"
        ) from error
    except OSError as error:
        _drop_unwritable_output()
        raise click.ClickException(_describe(error)) from error


def _describe(error: OSError) -> str:
    if isinstance(error, BrokenPipeError):
        return "Standard output was closed before everything was written."
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}." if error.filename else f"{reason}."


def _drop_unwritable_output() -> None:
    """Discard output that cannot be written, because the interpreter's exit would fail on it."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# Output


def print_hint(text: str) -> None:
    """Write a sentence that is not part of the result to standard error."""
    click.echo(text, err=True)


def print_result(text: str, **document: Any) -> None:
    """Write a command's result: `text` for people, `document` with `--json`."""
    if is_json():
        print_document(document)
    else:
        click.echo(text)


def print_line(text: str) -> None:
    """Write a line for people, with control characters from untrusted input escaped."""
    click.echo(escape_controls(text))


def escape_controls(text: str) -> str:
    """Return the text on one line, with characters that could control a terminal escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def print_document(document: Any, *, is_one_of_many: bool = False) -> None:
    """Write one object as JSON, on a single line if it is one of many."""
    indent = None if is_one_of_many else 2
    click.echo(json.dumps(document, indent=indent, ensure_ascii=False))


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
    """Open a new file that only its owner can read (0600), or standard output for `-`.

    An existing file is never overwritten. A file that could not be completed is deleted.

    Raises:
        click.ClickException: the file exists already or cannot be created.
    """
    if _is_stdout(file):
        yield sys.stdout
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        reason = "exists already" if isinstance(error, FileExistsError) else error.strerror
        raise click.ClickException(f"{file} cannot be made: {reason}.") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as target:
            yield target
    except BaseException:
        file.unlink(missing_ok=True)
        raise


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


# Input


YES_OPTION = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")


def confirm(question: str, *, yes: bool) -> None:
    """Ask the operator for confirmation on standard error; `yes` skips the question.

    Raises:
        click.ClickException: the answer is no, or there is no answer.
    """
    if yes:
        return
    try:
        is_confirmed = click.confirm(question, err=True)
    except click.Abort as error:
        raise click.ClickException("Nothing was changed. Confirm with --yes.") from error
    if not is_confirmed:
        raise click.ClickException("Nothing was changed.")


def expand_stdin(values: Iterable[str]) -> list[str]:
    """Return the values without duplicates, with `-` replaced by the lines of standard input.

    Raises:
        click.ClickException: `-` was given, and standard input holds no line.
    """
    found: dict[str, None] = {}
    for value in values:
        lines = _read_lines() if value == "-" else [value]
        found.update(dict.fromkeys(lines))
    return list(found)


def _read_lines() -> list[str]:
    text = decode_text(sys.stdin.buffer.read())
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise click.ClickException("There is nothing on standard input.")
    return lines


def read_line() -> str:
    """Return the first line of standard input without its line end, or empty text if none.

    Bytes that are not text become surrogates, which every check of text refuses.
    """
    stream = sys.stdin.buffer
    raw = stream.readline()
    if raw.startswith(_UTF16_MARKS):
        raw += stream.read()
    return decode_text(raw).partition("\n")[0].rstrip("\r")


_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decode_text(raw: bytes) -> str:
    """Decode UTF-8, or UTF-16 with a byte order mark; the mark is removed.

    PowerShell writes such marks into its pipes.
    """
    if raw.startswith(_UTF16_MARKS):
        with suppress(UnicodeDecodeError):
            return raw.decode("utf-16")
    return raw.removeprefix(codecs.BOM_UTF8).decode(errors="surrogateescape")


def act_on_each(items: Sequence[T], act: Callable[[T], None], *, name: Callable[[T], str]) -> None:
    """Call `act` for each item; a refused item does not stop the others.

    Args:
        items: the things to act on.
        act: raises `AuthserveError` to refuse an item.
        name: returns the item's name for error lines.

    Raises:
        AuthserveError: there is only one item, and it was refused.
        SystemExit: at least one of several was refused; standard error names each.
    """
    if len(items) == 1:
        act(items[0])
        return
    has_failed = False
    for item in items:
        try:
            act(item)
        except AuthserveError as error:
            print_hint(f"Error: {name(item)}: {error}")
            has_failed = True
    if has_failed:
        raise SystemExit(1)


class TimeParam(click.ParamType[datetime]):
    """A time in RFC 3339 form, with an offset.

    Args:
        is_utc_implied: accept a time without an offset and treat it as UTC.
    """

    name = "time"

    def __init__(self, *, is_utc_implied: bool = False) -> None:
        self._is_utc_implied = is_utc_implied

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        """Parse the time and convert it to UTC."""
        parsed = value if isinstance(value, datetime) else self._parse(value)
        if parsed is None:
            self.fail(f"{value!r} is no time. Write it like 2026-11-23T06:49:48Z.", param, ctx)
        return parsed

    def _parse(self, text: str) -> datetime | None:
        try:
            parsed = datetime.fromisoformat(text)
            if parsed.tzinfo is None:
                return parsed.replace(tzinfo=UTC) if self._is_utc_implied else None
            return parsed.astimezone(UTC)
        except (ValueError, OverflowError):
            return None
