"""Reading of a seed file, row by row, with line numbers for error messages."""

import csv
import io
import json
import re
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COLUMNS = ("email", "username", "password", "display_name", "roles")

_ROLE_SEPARATOR = re.compile(r"[\s,;]+")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its line in the file, and its values."""

    line: int
    values: Any


@dataclass(frozen=True, slots=True)
class RowFault:
    """A fault of a row, described for the author of the file."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


class SeedFileError(Exception):
    """A seed file that cannot be used; nothing was written.

    Args:
        faults: every fault of the file; they are sorted by line.
    """

    def __init__(self, faults: Sequence[RowFault]) -> None:
        self.faults = sorted(faults, key=lambda fault: fault.line)
        super().__init__("\n".join(str(fault) for fault in self.faults))


def read_rows(path: Path) -> list[Row]:
    """Read a seed file: a JSON list of objects, or CSV with a header of `COLUMNS`.

    Raises:
        SeedFileError: the file's name or content is of neither format.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise _fault(1, "The file is not UTF-8.") from error
    readers: dict[str, Callable[[str], Iterator[Row]]] = {".json": _read_json, ".csv": _read_csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise _fault(1, "Name the file .json or .csv, after what it holds.")
    return list(reader(text))


def _read_json(text: str) -> Iterator[Row]:
    """Decode the list's elements one by one, to know the line of each."""
    document = _JSONText(text)
    document.skip("[")
    while not document.is_at("]"):
        line = document.line
        yield Row(line, document.decode())
        if not document.is_at("]"):
            document.skip(",")
            if document.is_at("]"):
                raise _fault(document.line, "JSON allows no comma before the last bracket.")
    document.skip("]")
    if not document.is_at_end:
        raise _fault(document.line, "Nothing may follow the list.")


class _JSONText:
    """A JSON text that is read once from start to end; white space is skipped."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._line_ends = [end.start() for end in re.finditer("\n", text)]
        self._position = 0
        self._decoder = json.JSONDecoder(object_pairs_hook=_unique)
        self.skip("")

    @property
    def line(self) -> int:
        return bisect(self._line_ends, self._position) + 1

    @property
    def is_at_end(self) -> bool:
        return self._position == len(self._text)

    def is_at(self, token: str) -> bool:
        return self._text.startswith(token, self._position)

    def skip(self, token: str) -> None:
        if not self.is_at(token):
            raise _fault(self.line, f"A JSON list of objects needs {token!r} here.")
        space = _JSON_SPACE.match(self._text, self._position + len(token))
        assert space is not None
        self._position = space.end()

    def decode(self) -> Any:
        try:
            value, self._position = self._decoder.raw_decode(self._text, self._position)
        except json.JSONDecodeError as error:
            raise _fault(error.lineno, f"Not JSON from here on: {error.msg}.") from error
        except (ValueError, RecursionError) as error:
            raise _fault(self.line, f"Not the JSON of an account: {error}.") from error
        self.skip("")
        return value


_JSON_SPACE = re.compile(r"[ \t\r\n]*")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has the same key twice")
    return found


def _read_csv(text: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        header = _checked_header(next(reader, []))
        line = reader.line_num + 1
        for cells in reader:
            if len(cells) > len(header):
                raise _fault(line, "More values than columns.")
            if cells:
                yield Row(line, _values(dict(zip(header, cells, strict=False))))
            line = reader.line_num + 1
    except csv.Error as error:
        raise _fault(line, f"Not CSV from here on: {error}.") from error


def _checked_header(header: list[str]) -> list[str]:
    if set(header) - set(COLUMNS) or "email" not in header or len(set(header)) < len(header):
        names = ", ".join(COLUMNS)
        raise _fault(1, f"The header has to name email, and may name each of: {names}.")
    return header


def _values(cells: dict[str, str]) -> dict[str, Any]:
    """Return the values of a line without its empty cells."""
    values: dict[str, Any] = {name: value for name, value in cells.items() if value.strip()}
    if "roles" in values:
        values["roles"] = [role for role in _ROLE_SEPARATOR.split(values["roles"]) if role]
    return values


def _fault(line: int, message: str) -> SeedFileError:
    return SeedFileError([RowFault(line, message)])
