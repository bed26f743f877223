"""Reading of other systems' files, row by row, in bounded memory."""

import codecs
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

from authserve.transfer.columns import FirebaseConfig
from authserve.transfer.csv_files import read_csv
from authserve.transfer.errors import TransferFileError
from authserve.transfer.json_files import MAX_LINE_LENGTH, read_array, read_ndjson
from authserve.transfer.rows import RawRow, TextFile
from authserve.transfer.sources import SOURCES, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """Options of reading a file.

    Args:
        file_format: a key of `sources.SOURCES`.
        columns: for CSV, our field for each of the file's columns.
        delimiter: for CSV, one character; empty to detect it in the header.
        encoding: the file's encoding; empty to detect it from the first bytes.
        firebase: for Firebase, the project's hash parameters.
    """

    file_format: str = "authserve"
    columns: Mapping[str, str] = field(default_factory=dict)
    delimiter: str = ""
    encoding: str = ""
    firebase: FirebaseConfig | None = None


def read_rows(
    file: BinaryIO, options: ReadOptions, *, report: Callable[[str], None]
) -> Iterator[RawRow]:
    """Read a file and yield its rows.

    Args:
        report: called with a message to the operator about the file as a whole.

    Raises:
        TransferFileError: the file does not have this format.
    """
    source = SOURCES[options.file_format]
    text = _open_text(file, options.encoding)
    try:
        first = _first_line(text)
        for row in _read_records(text, first, source, options, report):
            yield _converted(row, source, options)
    except UnicodeError as error:
        raise TransferFileError(
            f"the file is not {text.stream.encoding}; name its encoding with --encoding"
        ) from error
    finally:
        # The caller closes the file.
        text.stream.detach()


def _read_records(
    text: TextFile,
    first: str,
    source: Source,
    options: ReadOptions,
    report: Callable[[str], None],
) -> Iterator[RawRow]:
    mark = first.lstrip()[:1]
    if source.is_csv and not (source.is_json and mark in ("[", "{")):
        # Other sources define their own columns.
        columns = options.columns if source.name == "csv" else None
        return read_csv(text, first, columns=columns, delimiter=options.delimiter, report=report)
    if mark == "[" or (mark == "{" and source.wrapper):
        return read_array(text, first, wrapper=source.wrapper)
    if mark in ("{", ""):
        return read_ndjson(text, first)
    raise TransferFileError(
        f"line 1 is no JSON object, and {options.file_format!r} needs JSON; "
        "for a table, say --format csv"
    )


def _converted(row: RawRow, source: Source, options: ReadOptions) -> RawRow:
    if row.fault is not None:
        return row
    try:
        return replace(row, values=source.convert(row.values, options.firebase))
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError):
        return replace(row, values=None, fault=f"not a row of {source.name}")


def _open_text(file: BinaryIO, encoding: str) -> TextFile:
    buffered: Any = file if isinstance(file, io.BufferedReader) else io.BufferedReader(file)
    name = encoding or _detect_encoding(buffered.peek(4)[:4])
    stream = io.TextIOWrapper(buffered, encoding=name, errors="surrogateescape", newline="")
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


def _first_line(text: TextFile) -> str:
    """Return the first line that is not empty."""
    first = text.stream.readline(MAX_LINE_LENGTH)
    while first and not first.strip():
        text.skipped_lines += 1
        first = text.stream.readline(MAX_LINE_LENGTH)
    # An encoding with a byte order in its name, such as UTF-16-LE, leaves the mark in the text.
    return first.removeprefix("\ufeff")
