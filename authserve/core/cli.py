"""The parts that every `flask` command shares: its class, errors, confirmation, standard input.

A command that fails writes its error to standard error and exits with status 1. What it writes
otherwise goes through `core/cli_output.py`.
"""

import codecs
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

import click
from flask.cli import AppGroup
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from authserve.core.cli_output import AS_JSON, escape_lines, print_hint
from authserve.core.database_remedies import find_remedy
from authserve.core.errors import AuthserveError, ValidationFailedError
from authserve.core.identifiers import InvalidIdentifierError

T = TypeVar("T")


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
    ctx.meta[AS_JSON] = value


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
    that a closed pipe or a full disk fails the command instead of the interpreter's exit. A command
    that was started without standard output (`>&-`) discards what it writes.
    """
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - open until the process ends
    try:
        with _explaining_errors():
            yield
    except click.ClickException as error:
        # It may quote a file, an argument or another server. A new error would lose the status.
        error.message = escape_lines(error.message)  # type: ignore[misc]
        raise


@contextmanager
def _explaining_errors() -> Iterator[None]:
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
        cause = getattr(error, "orig", None) or error
        reason = str(cause).strip().partition("\n")[0]
        raise click.ClickException(
            f"The database does not serve ({reason}). {find_remedy(cause)}"
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
