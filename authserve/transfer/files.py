"""Text files whose rows are read in bounded memory, and the reading of CSV."""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import TextIOWrapper
from itertools import chain
from typing import Any, BinaryIO

from authserve.core.frozen import frozen

DELIMITERS = ",;\t|"
"""The delimiters that are detected in a header."""

MAX_LINE_LENGTH = 64 * 1024
"""The maximum of characters in a line of NDJSON: more than any account needs. A file that is not
NDJSON is refused before it fills the memory."""

MAX_CELL_LENGTH = 1024 * 1024
"""The maximum of characters in a cell; some tables hold a JSON document in one."""

NULLS = frozenset({"", "NULL", "\\N"})
"""The spellings of a missing value (psql, MySQL)."""


class TransferFileError(Exception):
    """A file that cannot be imported.

    Args:
        reason: the fault of the file.
        advice: the options of `flask users import` that help; empty if there are none.
    """

    def __init__(self, reason: str, *, advice: str = "") -> None:
        super().__init__(reason)
        self.advice = advice


@frozen(kw_only=True)
class RawRow:
    """One row: its place in the file, and its values or its fault.

    Args:
        number: the number of the row; 1 for the first.
        line: the line of the file on which the row begins.
        place: the place as the operator sees it, such as `line 3`.
        position: the bytes of the file that are read so far; 0 if the file cannot report them.
        fault: the reason why the row has no values, else None.
    """

    number: int
    line: int
    place: str
    position: int
    values: Any = field(default=None, repr=False)
    fault: str | None = None


@dataclass(slots=True)
class TextFile:
    """A file as text.

    Args:
        position: returns the number of bytes that are read so far.
        skipped_lines: the number of empty lines before the first other line.
    """

    stream: TextIOWrapper
    position: Callable[[], int]
    skipped_lines: int = 0

    def is_decoded(self, text: str) -> bool:
        """Return True if every byte of the text was valid in the file's encoding."""
        return text.isascii() or _UNDECODED.search(text) is None

    @property
    def encoding_fault(self) -> str:
        """The fault of a row that has bytes of another encoding."""
        name = "UTF-8" if self.stream.encoding == "utf-8-sig" else self.stream.encoding
        return (
            f"not {name}; give the file's encoding with --encoding, "
            "for example --encoding windows-1252"
        )

    def read_first_line(self) -> str:
        """Return the first line that is not empty, without a byte order mark."""
        first = self.stream.readline(MAX_LINE_LENGTH)
        while first and not first.strip():
            self.skipped_lines += 1
            first = self.stream.readline(MAX_LINE_LENGTH)
        # An encoding with a byte order in its name, such as UTF-16-LE, leaves the mark in the text.
        return first.removeprefix("\ufeff")


_UNDECODED = re.compile("[\udc80-\udcff]")
"""The characters with which the error handler `surrogateescape` replaces undecodable bytes."""


def open_text(file: BinaryIO, encoding: str) -> TextFile:
    """Return a file as text.

    Args:
        encoding: empty to detect it from the first bytes.
    """
    buffered: Any = file if isinstance(file, io.BufferedReader) else io.BufferedReader(file)
    name = encoding or _detect_encoding(buffered.peek(4)[:4])
    stream = TextIOWrapper(buffered, encoding=name, errors="surrogateescape", newline="")
    return TextFile(stream=stream, position=_position_of(buffered))


def _detect_encoding(start: bytes) -> str:
    """Return the encoding by the byte order mark, or by the NUL bytes of ASCII text in UTF-16."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if re.match(rb"[^\0]\0", start):
        return "utf-16-le"
    return "utf-16-be" if re.match(rb"\0[^\0]", start) else "utf-8-sig"


def _position_of(buffered: BinaryIO) -> Callable[[], int]:
    return buffered.tell if buffered.seekable() else lambda: 0


# CSV


@frozen(kw_only=True)
class Header:
    """The rules for the header of a CSV file.

    Args:
        fields: our fields; columns of these names map themselves.
        columns: our field for each of the file's other columns.
        on_ignored: called with the columns that are not used, if there are any.
    """

    fields: Sequence[str]
    columns: Mapping[str, str]
    on_ignored: Callable[[Sequence[str]], None]

    def field_names(self, names: list[str]) -> list[str]:
        """Return our field for each of the file's columns, or an empty string for an ignored one.

        Raises:
            TransferFileError: a needed column is missing, or two columns are for the same field.
        """
        ours = [self.columns.get(name, "") for name in names]
        taken = set(ours)
        # `id` becomes `source_id`, the source's key, unless another column is mapped to that.
        same = {"id": "id" if "source_id" in taken else "source_id"}
        for place, name in enumerate(names):
            plain = re.sub(r"[\s-]+", "_", name.strip().lower())
            if not ours[place] and plain in self.fields and plain not in taken:
                ours[place] = same.get(plain, plain)
        self._check(names, ours)
        ignored = [name for name, field in zip(names, ours, strict=True) if not field]
        if ignored:
            self.on_ignored(ignored)
        return ours

    def _check(self, names: list[str], ours: list[str]) -> None:
        missing = sorted(set(self.columns) - set(names))
        if missing or "email" not in ours:
            raise TransferFileError(
                f"the header has no column {', '.join(missing) or 'for email'}; it has: "
                f"{', '.join(names)}",
                advice="Name the columns with --map, for example --map mail=email, and name "
                "another delimiter than these with --delimiter",
            )
        repeated = sorted({name for name in ours if name and ours.count(name) > 1})
        if repeated:
            raise TransferFileError(f"the header has two columns for {repeated[0]}")


def read_csv(
    text: TextFile, first: str, *, header: Header | None, delimiter: str
) -> Iterator[RawRow]:
    """Read a CSV file and yield its rows.

    Args:
        first: the file's first line.
        header: None keeps the names of all columns.
        delimiter: one character; empty to detect it in the header.

    Yields:
        Rows with the cells that are not empty.

    Raises:
        TransferFileError: the file is not CSV, or the header does not match.
    """
    csv.field_size_limit(MAX_CELL_LENGTH)
    skipped = text.skipped_lines
    mark = re.fullmatch(r"sep=(.)\r?\n", first)
    if mark:
        # Excel writes the delimiter in a separate first line.
        first, delimiter, skipped = text.stream.readline(), delimiter or mark[1], skipped + 1
    lines = chain([first], text.stream)
    reader = csv.reader(lines, delimiter=delimiter or _find_delimiter(first), strict=True)
    records = _read_records(reader, skipped)
    _, columns = next(records, (1, []))
    names = columns if header is None else header.field_names(columns)
    filled = ((line, cells) for line, cells in records if cells)
    for number, (line, cells) in enumerate(filled, start=1):
        fault = _find_fault(text, cells, names)
        yield RawRow(
            number=number,
            line=line,
            place=f"line {line}",
            position=text.position(),
            values=None if fault else _values(names, cells),
            fault=fault,
        )


def _find_delimiter(header: str) -> str:
    bare = re.sub(r'"[^"]*"', "", header)
    return max(DELIMITERS, key=bare.count)


def _read_records(reader: Any, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the first line and the cells of each record; a cell may hold line ends."""
    line = skipped + 1
    try:
        for cells in reader:
            yield line, cells
            line = skipped + reader.line_num + 1
    except csv.Error as error:
        raise TransferFileError(f"line {line} is not CSV: {error}") from error


def _find_fault(text: TextFile, cells: list[str], names: list[str]) -> str | None:
    if len(cells) > len(names):
        return "more values than columns"
    if not all(text.is_decoded(cell) for cell in cells):
        return text.encoding_fault
    return None


def _values(names: list[str], cells: list[str]) -> dict[str, str]:
    pairs = zip(names, cells, strict=False)
    return {name: cell for name, cell in pairs if name and cell.strip() not in NULLS}
