"""A row of a file, and the text file that rows are read from."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from io import TextIOWrapper
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRow:
    """One row: its place in the file, and its values or its fault.

    Args:
        number: the number of the row; 1 for the first.
        line: the line of the file.
        place: the place as the operator sees it, such as `line 3`.
        position: the bytes of the file that are read so far; 0 if the file cannot report them.
        fault: the reason why the row has no values, else None.
    """

    number: int
    line: int
    place: str
    position: int
    values: Any = None
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
            f"not {name}; name the file's encoding with --encoding, "
            "for example --encoding windows-1252"
        )


_UNDECODED = re.compile("[\udc80-\udcff]")
"""The characters with which the error handler `surrogateescape` replaces undecodable bytes."""
