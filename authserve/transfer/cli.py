"""`flask users import`, `flask users seed` and `flask users export`."""

import codecs
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO, TextIO

import click
from flask.cli import with_appcontext

from authserve.core.cli import Command
from authserve.core.cli_output import (
    open_new_file,
    open_output,
    print_hint,
    print_result,
    print_written,
    progress_bar,
    write_json,
)
from authserve.settings.model import SETTINGS
from authserve.transfer.account_parts import ACCOUNT_PARTS
from authserve.transfer.conversions import FirebaseConfig, parse_firebase_config
from authserve.transfer.decisions import ImportOptions
from authserve.transfer.export import export_users
from authserve.transfer.files import TransferFileError
from authserve.transfer.import_users import import_users
from authserve.transfer.results import Counts, Result, RowResult
from authserve.transfer.rows import FIELDS, LoadOptions, load_row
from authserve.transfer.seed import read_seed_file, seed_users
from authserve.transfer.sources import SOURCES, ReadOptions, read_rows


def _check_encoding(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    try:
        return codecs.lookup(value).name if value else ""
    except LookupError as error:
        raise click.BadParameter(f"{value!r} is not an encoding; one is windows-1252") from error


def _check_delimiter(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    delimiter = {"tab": "\t", "\\t": "\t"}.get(value, value)
    if len(delimiter) > 1 or delimiter in ('"', "\r", "\n"):
        raise click.BadParameter("give one character, or the word tab")
    return delimiter


def _read_firebase_config(
    _ctx: click.Context, _param: click.Parameter, value: Path | None
) -> FirebaseConfig | None:
    try:
        return None if value is None else parse_firebase_config(value.read_text("utf-8-sig"))
    except ValueError as error:
        raise click.BadParameter(f"{value} has no hash parameters ({error})") from error


@click.command("import", cls=Command)
@click.argument(
    "file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(list(SOURCES)),
    default="authserve",
    show_default=True,
    help="The system that the accounts come from, or csv.",
)
@click.option(
    "--map",
    "maps",
    multiple=True,
    metavar="COLUMN=FIELD",
    help="Our field for a column of CSV; repeatable.",
)
@click.option(
    "--delimiter",
    default="",
    callback=_check_delimiter,
    help="The delimiter of CSV; default: detected in the header.",
)
@click.option(
    "--encoding",
    default="",
    callback=_check_encoding,
    help="The encoding of the file; default: UTF-8 or UTF-16, detected.",
)
@click.option(
    "--firebase-config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=_read_firebase_config,
    help="A file with the hash parameters of the Firebase project.",
)
@click.option("--update", is_flag=True, help="Fill the empty fields of existing accounts.")
@click.option(
    "--without-passwords",
    is_flag=True,
    help="If a hash is not supported, import the account without a password.",
)
@click.option(
    "--without-bad-usernames",
    is_flag=True,
    help="If a username is taken or invalid, import the account without it.",
)
@click.option("--dry-run", is_flag=True, help="Check everything, write nothing.")
@click.option(
    "--results",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a new NDJSON file: for each row its outcome, its new id and the source's key.",
)
@with_appcontext
def import_command(
    file: Path,
    file_format: str,
    maps: tuple[str, ...],
    delimiter: str,
    encoding: str,
    firebase_config: FirebaseConfig | None,
    update: bool,
    without_passwords: bool,
    without_bad_usernames: bool,
    dry_run: bool,
    results: Path | None,
) -> None:
    """Import accounts with their password hashes, so that users keep their passwords.

    FILE is JSON (one object per line, or a list), or CSV with a header; `-` is standard input.
    Existing accounts stay as they are (see --update), so an interrupted import can be run again.
    Rows that cannot be imported are reported; the exit status is then 1.

    \b
    Fields: id, source_id, email, username, display_name, locale, password_hash, email_verified,
    is_active, created_at, last_login_at, roles. CSV columns of these names map themselves.

    \b
    Examples:
      flask users import users.ndjson --dry-run
      flask users import users.csv --format csv --map mail=email --map hash=password_hash
      flask users import realm.json --format keycloak --results results.ndjson
    """
    read_options = ReadOptions(
        file_format=file_format,
        columns=_columns(maps, file_format),
        delimiter=delimiter,
        encoding=encoding,
        firebase=firebase_config,
    )
    options = ImportOptions(
        dry_run=dry_run, update=update, without_bad_usernames=without_bad_usernames
    )
    load_options = LoadOptions(
        without_passwords=without_passwords,
        without_bad_usernames=without_bad_usernames,
        flask_security_salt=SETTINGS.get().flask_security_salt,
        passkey_rp_id=SETTINGS.get().passkey_rp_id,
        parts=ACCOUNT_PARTS.get(),
    )
    counts = Counts(is_dry_run=dry_run, is_update=update)
    try:
        with click.open_file(str(file), "rb") as source, _result_file(results) as log:
            rows = read_rows(source, read_options, on_ignored=_report_ignored)  # type: ignore[arg-type]
            with progress_bar(_size(source), "Importing") as advance:  # type: ignore[arg-type]
                for batch in import_users(
                    rows, load=lambda row: load_row(row, load_options), options=options
                ):
                    counts.add(batch)
                    _report(batch, log)
                    advance(counts.progress)
    except TransferFileError as error:
        sentences = (str(error), error.advice, counts.summary)
        raise click.ClickException(". ".join(filter(None, sentences))) from error
    print_result(counts.summary, **counts.document)
    if counts.by_result[Result.REFUSED]:
        raise SystemExit(1)


def _report_ignored(names: Sequence[str]) -> None:
    print_hint(f"Ignored columns: {', '.join(names)}. Use them with --map COLUMN=FIELD.")


def _columns(maps: Iterable[str], file_format: str) -> Mapping[str, str]:
    columns = {}
    for text in maps:
        column, _, field = text.rpartition("=")
        columns[column] = field
    if columns and file_format != "csv":
        raise click.BadParameter("this option needs --format csv", param_hint="--map")
    unknown = sorted(set(columns.values()) - set(FIELDS))
    if unknown:
        message = f"{unknown[0]!r} is not a field; the fields are {', '.join(FIELDS)}"
        raise click.BadParameter(message, param_hint="--map")
    return columns


def _size(source: BinaryIO) -> int:
    """Return the length of a file in bytes, or 0 for a pipe, whose length is unknown."""
    if not source.seekable():
        return 0
    size = source.seek(0, 2)
    source.seek(0)
    return size


def _result_file(path: Path | None) -> AbstractContextManager[TextIO | None]:
    """Open the file of results; it stays if the import fails, because its accounts stay too."""
    return nullcontext() if path is None else open_new_file(path)


def _report(batch: Iterable[RowResult], log: TextIO | None) -> None:
    for result in batch:
        if log is not None:
            log.write(write_json(result.document) + "\n")
        elif result.sentence is not None:
            print_hint(result.sentence)


@click.command("seed", cls=Command)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_appcontext
def seed_command(file: Path) -> None:
    """Create the accounts of FILE that do not exist yet; if a row is invalid, create none.

    FILE is JSON (a list of objects, or one object per line), or CSV with a header. The columns are
    email, username, password, display_name and roles; only email is required.

    \b
    Example:
      flask users seed docs/examples/users.json
    """
    try:
        rows = read_seed_file(file)
        with progress_bar(len(rows), "Hashing passwords") as update:
            result = seed_users(rows, on_progress=lambda: update(1))
    except TransferFileError as error:
        raise click.ClickException(f"Nothing was written.\n{error}") from error
    print_result(
        f"{result.created} made, {result.existing} there already.",
        created=result.created,
        existing=result.existing,
    )


@click.command("export", cls=Command)
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "--with-secrets",
    is_flag=True,
    help="Second factors too: TOTP secrets, passkeys, digests of recovery codes. Audited.",
)
@with_appcontext
def export_command(file: Path, with_secrets: bool) -> None:
    """Export every account as NDJSON, password hashes included; `-` is standard output.

    Protect the file like the database: with it, an attacker can try passwords offline, and needs no
    second factor after --with-secrets. Only its owner can read it (0600).

    \b
    Examples:
      flask users export users.ndjson
      flask users export users.ndjson --with-secrets
      (umask 077; flask users export - | gzip > users.ndjson.gz)
    """
    count = 0
    with open_output(file) as target:
        for document in export_users(with_secrets=with_secrets):
            target.write(write_json(document) + "\n")
            count += 1
    print_written(file, "accounts", count)
