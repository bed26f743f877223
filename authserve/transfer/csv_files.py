"""Reading of CSV files with a header, any delimiter, and columns that map to our fields."""

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import chain

from authserve.transfer.errors import TransferFileError
from authserve.transfer.policy import FIELDS
from authserve.transfer.rows import RawRow, TextFile

DELIMITERS = ",;\t|"
"""The delimiters that are detected in a header."""

MAX_CELL_LENGTH = 1024 * 1024
"""The maximum of characters in a cell; some tables hold a JSON document in one."""

NULLS = frozenset({"", "NULL", "\\N"})
"""The spellings of a missing value (psql, MySQL)."""


def read_csv(
    text: TextFile,
    first: str,
    *,
    columns: Mapping[str, str] | None,
    delimiter: str,
    report: Callable[[str], None],
) -> Iterator[RawRow]:
    """Read a CSV file and yield its rows.

    Args:
        first: the file's first line.
        columns: our field for each of the file's columns whose name is not ours; None keeps the
            names of all columns.
        delimiter: one character; empty to detect it in the header.
        report: called once with a text that lists the ignored columns, if there are any.

    Yields:
        Rows with the cells that are not empty.

    Raises:
        TransferFileError: the file is not CSV, or the header does not match.
    """
    csv.field_size_limit(MAX_CELL_LENGTH)
    mark = re.fullmatch(r"sep=(.)\r?\n", first)
    if mark:
        # Excel writes the delimiter in a separate first line.
        first, delimiter = text.stream.readline(), delimiter or mark[1]
    lines = chain([first], text.stream)
    reader = csv.reader(lines, delimiter=delimiter or _find_delimiter(first), strict=True)
    skipped = text.skipped_lines + (1 if mark else 0)
    names: list[str] | None = None
    number = 0
    for cells in _cells(reader, skipped):
        if names is None:
            names = _field_names(cells, columns, report)
        elif cells:
            number, line = number + 1, skipped + reader.line_num
            fault = _fault(text, cells, names)
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


def _cells(reader: Iterator[list[str]], skipped: int) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        line = skipped + reader.line_num  # type: ignore[attr-defined]
        raise TransferFileError(f"line {line} is not CSV: {error}") from error


def _field_names(
    header: list[str], columns: Mapping[str, str] | None, report: Callable[[str], None]
) -> list[str]:
    """Return our field for each column, or an empty string for an ignored column."""
    if columns is None:
        return header
    names = [columns.get(name, "") for name in header]
    taken = set(names)
    # Columns with our names map themselves, but `id` becomes `source_id`, the source's key, unless
    # another column is mapped to that.
    same = {"id": "id" if "source_id" in taken else "source_id"}
    for place, name in enumerate(header):
        plain = re.sub(r"[\s-]+", "_", name.strip().lower())
        if not names[place] and plain in FIELDS and plain not in taken:
            names[place] = same.get(plain, plain)
    _check_header(header, columns, names)
    ignored = [name for name, ours in zip(header, names, strict=True) if not ours]
    if ignored:
        report(f"Ignored columns: {', '.join(ignored)}. Use them with --map COLUMN=FIELD.")
    return names


def _check_header(header: list[str], columns: Mapping[str, str], names: list[str]) -> None:
    missing = sorted(set(columns) - set(header))
    if missing or "email" not in names:
        raise TransferFileError(
            f"the header has no column {', '.join(missing) or 'for email'}; it has: "
            f"{', '.join(header)}. Say which is which with --map, for example --map mail=email, "
            "and name another delimiter than these with --delimiter"
        )
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated:
        raise TransferFileError(f"the header has two columns for {repeated[0]}")


def _fault(text: TextFile, cells: list[str], names: list[str]) -> str | None:
    if len(cells) > len(names):
        return "more values than columns"
    if not all(text.is_decoded(cell) for cell in cells):
        return text.encoding_fault
    return None


def _values(names: list[str], cells: list[str]) -> dict[str, str]:
    pairs = zip(names, cells, strict=False)
    return {name: cell for name, cell in pairs if name and cell.strip() not in NULLS}
