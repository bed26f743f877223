"""The answers that callers received, and statistics of them."""

import json
from collections import Counter
from dataclasses import dataclass, field
from math import inf
from statistics import quantiles
from typing import Any, NamedTuple

REFUSED = 400
"""Statuses from here on."""

LOST = 0
"""The status of an answer that never came, as the server hung up."""


@dataclass(frozen=True)
class Answer:
    """An answer: status, body and header."""

    status: int
    body: bytes
    head: bytes = b""

    @property
    def is_refusal(self) -> bool:
        """True if the answer is an error or never came."""
        return self.status >= REFUSED or self.status == LOST

    def header(self, name: str) -> str:
        """A header's value, or nothing."""
        return find_header(self.head, name.encode()).decode()

    def json(self) -> dict[str, Any]:
        """The object that the body is."""
        document: dict[str, Any] = json.loads(self.body)
        return document


class Seen(NamedTuple):
    """An answer as it is counted; the answer itself is kept where it is a refusal."""

    sent_at: float
    latency_secs: float
    status: int
    refusal: Answer | None


@dataclass
class Result:
    """The answers of a group of callers.

    Args:
        seconds: the duration of the measurement.
        seen: the answers, in the order of their arrival.
    """

    seconds: float
    seen: list[Seen] = field(default_factory=list)

    @property
    def latencies_secs(self) -> list[float]:
        """The latency of each answer."""
        return [seen.latency_secs for seen in self.seen]

    @property
    def statuses(self) -> Counter[int]:
        """The number of answers with each status."""
        return Counter(seen.status for seen in self.seen)

    @property
    def refusals(self) -> list[Answer]:
        """The answers from 400 on, and those that did not come."""
        return [seen.refusal for seen in self.seen if seen.refusal is not None]

    @property
    def rate(self) -> float:
        """Answers each second, whatever their status."""
        return len(self.seen) / self.seconds

    @property
    def goodput(self) -> float:
        """Answers each second that were no refusals."""
        return sum(seen.refusal is None for seen in self.seen) / self.seconds

    @property
    def p99_ms(self) -> float:
        """The latency that one answer in a hundred exceeds."""
        return quantiles(self.latencies_secs, n=100)[98] * 1000

    def between(self, begins_at: float, ends_at: float = inf) -> "Result":
        """Return the answers whose request and response fall into an interval."""
        seen = [
            each
            for each in self.seen
            if each.sent_at >= begins_at and each.sent_at + each.latency_secs <= ends_at
        ]
        return Result(ends_at - begins_at, seen)

    def require_success(self) -> "Result":
        """Refuse to count errors as work."""
        if refusals := self.refusals:
            raise RuntimeError(f"{dict(self.statuses)}, first: {refusals[0]}")
        return self


def find_header(head: bytes, name: bytes) -> bytes:
    """A header's value in the bytes of a response's head, or nothing."""
    at = head.lower().find(b"\r\n%s:" % name.lower())
    return b"" if at < 0 else head[at + len(name) + 3 :].partition(b"\r\n")[0].strip()
