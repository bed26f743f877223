"""Reading files of other systems, row by row, in bounded memory."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from authserve.transfer.errors import TransferFileError

MAX_LINE_LENGTH = 64 * 1024
"""No account needs so much; a file that is no NDJSON is found out before it fills the memory."""

TRUE_WORDS = frozenset({"1", "true", "t", "yes", "y"})
FALSE_WORDS = frozenset({"0", "false", "f", "no", "n"})


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row: its line, how far into the file it ends, and what it says or why it says nothing."""

    line: int
    position: int
    values: Any
    fault: str | None = None


def read_rows(path: Path, file_format: str, columns: Mapping[str, str]) -> Iterator[RawRow]:
    """Read a file.

    Args:
        file_format: `authserve` (NDJSON as `flask users export` writes it), `django` (NDJSON of
            `manage.py dumpdata auth.user --format jsonl`) or `csv`.
        columns: for CSV, our field by the file's column.

    Raises:
        TransferFileError: the file is not of this format.
    """
    with path.open(encoding="utf-8-sig", newline="", errors="surrogateescape") as file:
        if file_format == "csv":
            yield from _read_csv(file, columns)
        else:
            convert = _from_django if file_format == "django" else _as_it_is
            yield from _read_ndjson(file, convert)


def _read_ndjson(file: TextIO, convert: Callable[[Any], Any]) -> Iterator[RawRow]:
    line, position = 0, 0
    while text := file.readline(MAX_LINE_LENGTH):
        line += 1
        position += len(text.encode("utf-8", "surrogateescape"))
        if len(text) == MAX_LINE_LENGTH:
            raise TransferFileError(f"line {line} is too long: one JSON object a line is needed")
        if not text.strip():
            continue
        try:
            yield RawRow(line, position, convert(json.loads(text)))
        except (ValueError, RecursionError):
            yield RawRow(line, position, None, "not a JSON object of this format")


def _as_it_is(row: Any) -> Any:
    return row


def _from_django(row: Any) -> dict[str, Any]:
    """Django's user model: what it calls what."""
    if not isinstance(row, dict) or not isinstance(row.get("fields"), dict):
        raise ValueError("not of dumpdata")  # noqa: TRY004 - bad data, no bug of ours
    fields = row["fields"]
    name = " ".join(str(fields.get(part) or "") for part in ("first_name", "last_name")).strip()
    username = fields.get("username")
    # Django's usernames may be addresses; ours never are.
    is_address = isinstance(username, str) and "@" in username
    return {
        "email": fields.get("email") or (username if is_address else None),
        "username": None if is_address else username,
        "display_name": name or None,
        "password_hash": fields.get("password"),
        "is_active": fields.get("is_active", True),
        "created_at": fields.get("date_joined"),
        "last_login_at": fields.get("last_login"),
    }


def _read_csv(file: TextIO, columns: Mapping[str, str]) -> Iterator[RawRow]:
    reader = csv.DictReader(file, strict=True)
    names = reader.fieldnames or ()
    missing = sorted(set(columns) - set(names))
    if missing or "email" not in columns.values():
        found = ", ".join(names)
        raise TransferFileError(
            f"the header has no column {', '.join(missing) or 'for email'}; it has: {found}. "
            "Say which is which with --map, for example --map mail=email"
        )
    rows = iter(reader)
    while True:
        try:
            record = next(rows, None)
        except csv.Error as error:
            raise TransferFileError(f"line {reader.line_num} is not CSV: {error}") from error
        if record is None:
            return
        values = {ours: record.get(theirs) for theirs, ours in columns.items()}
        yield RawRow(reader.line_num, 0, _from_text(values))


def _from_text(values: Mapping[str, str | None]) -> dict[str, Any]:
    """CSV knows text alone: empty is nothing, and some words are truths."""
    typed: dict[str, Any] = {}
    for name, text in values.items():
        if text is None or not text.strip():
            continue
        if name in ("email_verified", "is_active"):
            typed[name] = _truth(text.strip().lower())
        elif name == "roles":
            typed[name] = text.replace(",", " ").replace(";", " ").split()
        else:
            typed[name] = text
    return typed


def _truth(word: str) -> bool | str:
    if word in TRUE_WORDS:
        return True
    return False if word in FALSE_WORDS else word
