"""`flask users import` and `flask users export`."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import click
from flask.cli import with_appcontext

from authserve.core.cli import Command, open_output, print_written
from authserve.transfer.errors import TransferFileError
from authserve.transfer.schemas import FIELDS, load_row
from authserve.transfer.service import RawRow, Result, RowResult, export_users, import_users
from authserve.transfer.service import read_rows as read_rows_of


@click.command("import", cls=Command)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["authserve", "django", "csv"]),
    default="authserve",
    show_default=True,
    help="authserve and django are NDJSON, one account a line.",
)
@click.option("--map", "maps", multiple=True, metavar="COLUMN=FIELD", help="For CSV; repeatable.")
@click.option("--dry-run", is_flag=True, help="Check everything, write nothing.")
@click.option(
    "--results", type=click.Path(dir_okay=False, path_type=Path), help="NDJSON, one line a row."
)
@with_appcontext
def import_command(
    file: Path, file_format: str, maps: tuple[str, ...], dry_run: bool, results: Path | None
) -> None:
    """Import accounts with their password hashes; they sign in with the passwords they have.

    Accounts that are there already stay as they are, so an import that was cut off is run again.
    Rows that cannot be used are left out and told; then the exit status is 1.

    \b
    Fields: id, email, username, display_name, password_hash, email_verified, is_active,
    created_at, last_login_at, roles.

    \b
    Examples:
      flask users import users.ndjson --dry-run
      python manage.py dumpdata auth.user --format jsonl > users.jsonl
      flask users import users.jsonl --format django --results results.ndjson
      flask users import users.csv --format csv --map mail=email --map hash=password_hash
    """
    counts: Counter[Result] = Counter()
    try:
        rows = read_rows_of(file, file_format, _columns(maps))
        with _progress(file) as counted, _result_file(results) as told:
            for batch in import_users(counted(rows), load=load_row, dry_run=dry_run):
                counts.update(result.result for result in batch)
                _tell(batch, told)
    except TransferFileError as error:
        raise click.ClickException(f"{error}. {_summary(counts, dry_run)}") from error
    click.echo(_summary(counts, dry_run))
    if counts[Result.REFUSED]:
        raise SystemExit(1)


def _columns(maps: Iterable[str]) -> Mapping[str, str]:
    columns = dict(text.partition("=")[::2] for text in maps)
    unknown = sorted(set(columns.values()) - set(FIELDS))
    if unknown:
        message = f"{unknown[0]!r} is no field; the fields are {', '.join(FIELDS)}"
        raise click.BadParameter(message, param_hint="--map")
    return columns or {"email": "email"}


@contextmanager
def _progress(file: Path) -> Iterator[Callable[[Iterable[RawRow]], Iterator[RawRow]]]:
    size = file.stat().st_size
    hidden = not sys.stderr.isatty()
    with click.progressbar(length=size, label="Importing", file=sys.stderr, hidden=hidden) as bar:

        def count(rows: Iterable[RawRow]) -> Iterator[RawRow]:
            done = 0
            for row in rows:
                bar.update(max(0, row.position - done))
                done = max(done, row.position)
                yield row

        yield count


@contextmanager
def _result_file(path: Path | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    with path.open("w", encoding="utf-8") as file:
        yield file


def _tell(batch: Iterable[RowResult], results: TextIO | None) -> None:
    for result in batch:
        if results is not None:
            line = {"line": result.line, "result": result.result, "reason": result.reason}
            results.write(json.dumps(line) + "\n")
        elif result.result is Result.REFUSED:
            click.echo(f"line {result.line}: {result.reason}", err=True)


def _summary(counts: Counter[Result], dry_run: bool) -> str:
    verb = "would be made" if dry_run else "made"
    return (
        f"{counts[Result.CREATED]} {verb}, {counts[Result.EXISTS]} there already, "
        f"{counts[Result.REFUSED]} refused."
    )


@click.command("export", cls=Command)
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@with_appcontext
def export_command(file: Path) -> None:
    """Export every account as NDJSON, password hashes included; `-` is standard output.

    Keep the file like the database: whoever has it can try passwords at leisure.

    \b
    Examples:
      flask users export users.ndjson
      flask users export - | gzip > users.ndjson.gz
    """
    count = 0
    with open_output(file) as target:
        for document in export_users():
            target.write(json.dumps(document, ensure_ascii=False) + "\n")
            count += 1
    print_written(file, "accounts", count)
