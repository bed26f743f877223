"""Reading of JSON files: one object per line, or one array, alone or as a member of an object."""

import json
from collections.abc import Iterator
from typing import Any

from authserve.core.ndjson import RepeatedKeyError, unique_object
from authserve.transfer.files import MAX_LINE_LENGTH, RawRow, TextFile, TransferFileError

MAX_VALUE_LENGTH = 16 * 1024 * 1024
"""The maximum of characters in one element of an array, or in a member beside it (chosen)."""

CHUNK_LENGTH = 64 * 1024
"""The minimum of characters that are read at once."""

_NO_OBJECT = "not a JSON object of this format"
_REPEATED_KEY = "an object has the same key twice"


def read_ndjson(text: TextFile, first: str) -> Iterator[RawRow]:
    """Read one JSON value per line; a line that is not JSON is a fault of its row.

    Raises:
        TransferFileError: a line has `MAX_LINE_LENGTH` characters or more.
    """
    line, number, content = text.skipped_lines, 0, first
    while content:
        line += 1
        if len(content) >= MAX_LINE_LENGTH:
            raise TransferFileError(f"line {line} is too long: one JSON object a line is needed")
        if content.strip():
            number += 1
            values, fault = _parse_line(text, content)
            yield RawRow(
                number=number,
                line=line,
                place=f"line {line}",
                position=text.position(),
                values=values,
                fault=fault,
            )
        content = text.stream.readline(MAX_LINE_LENGTH)


def _parse_line(text: TextFile, content: str) -> tuple[Any, str | None]:
    if not text.is_decoded(content):
        return None, text.encoding_fault
    try:
        return json.loads(content, object_pairs_hook=unique_object), None
    except RepeatedKeyError:
        return None, _REPEATED_KEY
    except (ValueError, RecursionError):
        return None, _NO_OBJECT


def read_array(text: TextFile, first: str, *, wrapper: str) -> Iterator[RawRow]:
    """Read the elements of an array: the whole file, or the member `wrapper` of its object.

    Raises:
        TransferFileError: the file is not JSON, or has no such array.
    """
    document = _Document(text, first)
    is_wrapped = document.next_mark() == "{"
    if is_wrapped:
        document.enter(wrapper)
    document.take("[")
    for number, line, values in _read_elements(document):
        yield RawRow(
            number=number,
            line=line,
            place=f"entry {number} (line {line})",
            position=text.position(),
            values=values,
            fault=None if document.is_decoded else text.encoding_fault,
        )
    document.take("]")
    if not is_wrapped:
        document.require_end()


def _read_elements(document: "_Document") -> Iterator[tuple[int, int, Any]]:
    """Yield the number, the line and the value of each element."""
    number, mark = 0, document.next_mark()
    while mark != "]":
        number += 1
        yield number, document.line, document.decode()
        mark = document.next_mark()
        if mark != "]":
            document.take(",")
            document.next_mark()


class _Document:
    """A JSON text that is decoded value by value; only the current part is in memory."""

    def __init__(self, text: TextFile, first: str) -> None:
        self.line = text.skipped_lines + 1
        self.is_decoded = True
        """False if the last value has bytes that are invalid in the file's encoding."""
        self._text = text
        self._buffer = first
        self._at = 0
        self._decoder = json.JSONDecoder(object_pairs_hook=unique_object)

    def enter(self, member: str) -> None:
        """Skip the members of an object up to the array of `member`.

        Raises:
            TransferFileError: the object has no such array.
        """
        self.take("{")
        while self.next_mark() != "}":
            name = self.decode()
            self.take(":")
            if name == member and self.next_mark() == "[":
                return
            self.decode()
            if self.next_mark() != "}":
                self.take(",")
        raise TransferFileError(f"the file's object has no list {member!r}")

    def next_mark(self) -> str:
        """Return the next character that is not white space, without taking it."""
        mark = self._find_mark()
        if not mark:
            raise TransferFileError(f"line {self.line}: the file ends too early")
        return mark

    def require_end(self) -> None:
        """Refuse a file with text after its array, such as a second array.

        Raises:
            TransferFileError: text follows.
        """
        if self._find_mark():
            raise TransferFileError(f"line {self.line}: text follows after the list")

    def _find_mark(self) -> str:
        """Skip white space; return the next character, or an empty string at the end."""
        while True:
            rest = self._buffer[self._at : self._at + 1]
            if rest and not rest.isspace():
                return rest
            if rest:
                self._advance(self._at + 1)
            elif not self._fill():
                return ""

    def take(self, mark: str) -> None:
        """Take the next character, which must be `mark`."""
        if self.next_mark() != mark:
            raise TransferFileError(f"line {self.line}: no JSON, {mark!r} is needed here")
        self._advance(self._at + 1)

    def decode(self) -> Any:
        """Take and return the next value."""
        self.next_mark()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer, self._at)
                # A number at the end of the buffer may continue in the next chunk.
                if end < len(self._buffer) or not self._fill():
                    self.is_decoded = self._text.is_decoded(self._buffer[self._at : end])
                    self._advance(end)
                    return value
            except RecursionError as error:
                raise TransferFileError(f"line {self.line}: nested too deeply") from error
            except RepeatedKeyError as error:
                raise TransferFileError(f"line {self.line}: {_REPEATED_KEY}") from error
            except ValueError as error:
                line = self._line_of(error)
                if not self._fill():
                    raise TransferFileError(f"line {line}: no JSON from here on") from error

    def _line_of(self, error: ValueError) -> int:
        position = getattr(error, "pos", self._at)
        return self.line + self._buffer.count("\n", self._at, position)

    def _advance(self, end: int) -> None:
        self.line += self._buffer.count("\n", self._at, end)
        self._at = end

    def _fill(self) -> bool:
        """Read the next chunk; return False at the end of the file or if a value is too long."""
        self._buffer = self._buffer[self._at :]
        self._at = 0
        if len(self._buffer) > MAX_VALUE_LENGTH:
            return False
        # Double the buffer, so that a long value is parsed only a few times.
        chunk = self._text.stream.read(max(CHUNK_LENGTH, len(self._buffer)))
        self._buffer += chunk
        return bool(chunk)
