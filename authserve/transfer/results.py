"""The outcomes of an import's rows, and their counts."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from authserve.core.frozen import frozen
from authserve.transfer.files import RawRow


class Result(StrEnum):
    """The outcomes of a row: a closed list."""

    CREATED = "created"
    UPDATED = "updated"
    EXISTS = "exists"
    REFUSED = "refused"


@frozen(kw_only=True)
class RowResult:
    """The outcome of a row.

    Args:
        id: the account's id; None if the row was refused, or if a dry run has not made the id.
        source_id: the account's key in the other system.
        reason: the reason of a refusal, else None.
        without: for each omitted field, its name and the reason.
        filled: the fields that an existing account lacked.
        notes: what the operator should know about the fields that were imported.
    """

    row: RawRow
    result: Result
    id: UUID | None = None
    source_id: str | None = None
    reason: str | None = None
    without: tuple[str, ...] = ()
    filled: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def document(self) -> dict[str, Any]:
        """The outcome for scripts: a line of the file of results."""
        return {
            "row": self.row.number,
            "line": self.row.line,
            "result": self.result,
            "id": None if self.id is None else str(self.id),
            "source_id": self.source_id,
            "reason": self.reason,
            "without": list(self.without),
            "filled": list(self.filled),
            "notes": list(self.notes),
        }

    @property
    def sentence(self) -> str | None:
        """The outcome for people if the row was not imported as it is, else None."""
        if self.result is Result.REFUSED:
            return f"{self.row.place}: {self.reason}"
        parts = [f"imported without {'; '.join(self.without)}"] if self.without else []
        parts += self.notes
        return f"{self.row.place}: {'; '.join(parts)}" if parts else None


@dataclass(slots=True, kw_only=True)
class Counts:
    """The outcomes of the rows so far."""

    is_dry_run: bool
    is_update: bool
    by_result: Counter[Result] = field(default_factory=Counter)
    incomplete: int = 0
    position: int = 0
    progress: int = 0
    """Bytes of the file that the last batch took."""

    def add(self, batch: Iterable[RowResult]) -> None:
        """Count the rows of a batch."""
        before = self.position
        for result in batch:
            self.by_result[result.result] += 1
            self.incomplete += bool(result.without)
            self.position = max(self.position, result.row.position)
        self.progress = self.position - before

    @property
    def document(self) -> dict[str, Any]:
        """The counts for scripts."""
        counts = {result.value: self.by_result[result] for result in Result}
        return {**counts, "incomplete": self.incomplete, "dry_run": self.is_dry_run}

    @property
    def summary(self) -> str:
        """The counts for people."""
        would = "would be " if self.is_dry_run else ""
        parts = [f"{self.by_result[Result.CREATED]} {would}made"]
        if self.is_update:
            parts.append(f"{self.by_result[Result.UPDATED]} {would}updated")
        parts.append(f"{self.by_result[Result.EXISTS]} there already")
        parts.append(f"{self.by_result[Result.REFUSED]} refused")
        text = ", ".join(parts)
        return f"{text}; {self.incomplete} without a field." if self.incomplete else f"{text}."
