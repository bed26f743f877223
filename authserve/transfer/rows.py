"""One row of a file, and the text that rows are read from."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from io import TextIOWrapper
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRow:
    """One row: where it begins, and its values or the fault that left it without.

    Args:
        number: 1 for the first row of the file.
        line: of the file.
        place: words for the operator, such as `line 3`.
        position: bytes of the file that were read up to here; 0 where the file cannot tell.
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
        position: returns how many bytes were read.
        skipped_lines: empty lines before the first one that was read.
    """

    stream: TextIOWrapper
    position: Callable[[], int]
    skipped_lines: int = 0

    def is_decoded(self, text: str) -> bool:
        """Return True if every byte of a text was of the file's encoding."""
        return text.isascii() or _UNDECODED.search(text) is None

    @property
    def encoding_fault(self) -> str:
        """The fault of a row that holds other bytes."""
        name = "UTF-8" if self.stream.encoding == "utf-8-sig" else self.stream.encoding
        return (
            f"not {name}; name the file's encoding with --encoding, "
            "for example --encoding windows-1252"
        )


_UNDECODED = re.compile("[\udc80-\udcff]")
"""The characters that the error handler `surrogateescape` puts for undecodable bytes."""
