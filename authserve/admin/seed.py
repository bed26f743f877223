"""Filling a database from a file: all of it or, if anything is wrong with it, nothing."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marshmallow import ValidationError, fields

from authserve.admin.service import create_user
from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.db import transaction
from authserve.core.errors import ValidationFailedError
from authserve.core.password_policy import require_acceptable_password
from authserve.core.passwords import get_password_hasher
from authserve.core.settings import get_settings
from authserve.http.fields import DisplayName, EmailAddress, Password, Username
from authserve.http.openapi import flatten
from authserve.http.schemas import StrictSchema
from authserve.rbac.service import find_missing_roles
from authserve.users.service import NewUser, find_ids_by_identifier

DEMO_PASSWORD_PREFIX = "demo only: "
"""How the passwords of the example file begin. Anybody can read them; production refuses them."""

COLUMNS = ("email", "username", "password", "display_name", "roles")

_ROLE_SEPARATOR = re.compile(r"[\s,;]+")


class SeedRowSchema(StrictSchema):
    """One account of a seed file."""

    email = EmailAddress(required=True)
    username = Username()
    password = Password()
    display_name = DisplayName()
    roles = fields.List(fields.String(), load_default=list)


@dataclass(frozen=True, slots=True)
class Row:
    """One row: where it stands in the file, and what it says."""

    line: int
    values: Any


@dataclass(frozen=True, slots=True)
class RowFault:
    """What is wrong with a row, in words for the person who wrote it."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


class SeedFileError(Exception):
    """The file cannot be used; nothing was written.

    Args:
        faults: one for each thing that is wrong, in the order of the lines.
    """

    def __init__(self, faults: Sequence[RowFault]) -> None:
        self.faults = sorted(faults, key=lambda fault: fault.line)
        super().__init__("\n".join(str(fault) for fault in self.faults))


@dataclass(frozen=True, slots=True)
class SeedResult:
    """How many accounts were made, and how many were there already and left alone."""

    created: int
    existing: int


def read_rows(path: Path) -> list[Row]:
    """Read a seed file: a JSON list of objects, or CSV with a header of `COLUMNS`.

    Raises:
        SeedFileError: it is neither, by its ending or by what it holds.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SeedFileError([RowFault(1, "The file is not UTF-8.")]) from error
    readers: dict[str, Callable[[str], Iterator[Row]]] = {".json": _read_json, ".csv": _read_csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise SeedFileError([RowFault(1, "Name the file .json or .csv, after what it holds.")])
    return list(reader(text))


def _read_json(text: str) -> Iterator[Row]:
    """Decode the list's elements one by one, so that each is known by its line."""
    decoder = json.JSONDecoder()
    position = _skip(text, 0, "[")
    while not text.startswith("]", position):
        line = text.count("\n", 0, position) + 1
        try:
            values, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            raise SeedFileError([RowFault(line, "Not JSON from here on.")]) from error
        yield Row(line, values)
        position = _skip(text, position, "")
        if not text.startswith("]", position):
            position = _skip(text, position, ",")


def _skip(text: str, position: int, expected: str) -> int:
    """The position after white space, `expected`, and white space again."""
    found = re.compile(rf"\s*{re.escape(expected)}\s*").match(text, position)
    if found is None:
        line = text.count("\n", 0, position) + 1
        raise SeedFileError([RowFault(line, f"A JSON list of objects needs {expected!r} here.")])
    return found.end()


def _read_csv(text: str) -> Iterator[Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    unknown = sorted(set(reader.fieldnames or ()) - set(COLUMNS))
    if unknown or "email" not in (reader.fieldnames or ()):
        raise SeedFileError([RowFault(1, f"The header may name {', '.join(COLUMNS)}.")])
    try:
        for record in reader:
            if None in record:
                raise SeedFileError([RowFault(reader.line_num, "More values than columns.")])
            values: dict[str, Any] = {name: value for name, value in record.items() if value}
            if "roles" in values:
                values["roles"] = _ROLE_SEPARATOR.split(values["roles"].strip())
            yield Row(reader.line_num, values)
    except csv.Error as error:
        raise SeedFileError([RowFault(reader.line_num, "Not CSV from here on.")]) from error


def seed(rows: Sequence[Row], *, on_progress: Callable[[], None] = lambda: None) -> SeedResult:
    """Make the accounts that are not there yet; those that are stay as they are.

    Args:
        on_progress: called once for each account, as its password is hashed.

    Raises:
        SeedFileError: with the faults of all rows; nothing was written.
        EmailTakenError, UsernameTakenError: somebody else wrote at the same moment; nothing was
            written, and running it again tells more.
    """
    checked = _check_all(rows)
    missing = [(values, roles) for values, roles, exists in checked if not exists]
    prepared = []
    for values, roles in missing:
        prepared.append((_new_user(values), roles))
        on_progress()
    request = RequestInfo(user_agent="flask users seed")
    with transaction():
        for new, roles in prepared:
            create_user(new, roles=roles, actor=VISITOR, request=request)
    return SeedResult(created=len(prepared), existing=len(checked) - len(prepared))


def _new_user(values: dict[str, Any]) -> NewUser:
    password = values.pop("password", None)
    password_hash = None if password is None else get_password_hasher().hash(password)
    return NewUser(**values, password_hash=password_hash, email_verified=True)


def _check_all(rows: Sequence[Row]) -> list[tuple[dict[str, Any], list[str], bool]]:
    """The checked values, the roles, and whether the account exists, for every row.

    Raises:
        SeedFileError: with the faults of all rows.
    """
    faults: list[RowFault] = []
    loaded: list[tuple[Row, dict[str, Any]]] = []
    for row in rows:
        try:
            loaded.append((row, _load(row)))
        except ValidationFailedError as error:
            faults += [RowFault(row.line, f"{k}: {' '.join(v)}") for k, v in error.errors.items()]
    faults += _find_repetitions(loaded)
    taken = find_ids_by_identifier(
        [values[name] for _, values in loaded for name in ("email", "username") if name in values]
    )
    unknown = find_missing_roles({role for _, values in loaded for role in values["roles"]})
    checked = []
    for row, values in loaded:
        roles = values.pop("roles")
        owner = taken.get(values["email"])
        if taken.get(values.get("username", ""), owner) != owner:
            faults.append(RowFault(row.line, "username: Another account uses it."))
        faults += [RowFault(row.line, f"roles: There is no {r!r}.") for r in roles if r in unknown]
        checked.append((values, roles, owner is not None))
    if faults:
        raise SeedFileError(faults)
    return checked


def _load(row: Row) -> dict[str, Any]:
    try:
        values: dict[str, Any] = SeedRowSchema().load(row.values)
    except ValidationError as error:
        raise ValidationFailedError(flatten(error.messages_dict)) from error
    password = values.get("password")
    if password is None:
        return values
    names = ("email", "username", "display_name")
    require_acceptable_password(password, context=[values[n] for n in names if n in values])
    if get_settings().is_production and password.startswith(DEMO_PASSWORD_PREFIX):
        message = "The passwords of the example file are public; production does not take them."
        raise ValidationFailedError({"password": [message]})
    return values


def _find_repetitions(loaded: Sequence[tuple[Row, dict[str, Any]]]) -> Iterator[RowFault]:
    first_lines: dict[str, int] = {}
    for row, values in loaded:
        for name in ("email", "username"):
            if name not in values:
                continue
            first = first_lines.setdefault(values[name], row.line)
            if first != row.line:
                yield RowFault(row.line, f"{name}: Line {first} has it already.")
