"""Results of promises, as lines of a table."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.results import Result
from bench.server import Gunicorn


@dataclass(frozen=True)
class Verdict:
    """One line.

    Args:
        promise: its id.
        what: what was measured.
        value: the figure, with its unit.
        wanted: what was promised.
        is_kept: whether the figure is within it.
    """

    promise: str
    what: str
    value: str
    wanted: str
    is_kept: bool

    def __str__(self) -> str:
        """The line, as wide as a terminal."""
        mark = "" if self.is_kept else "  NOT KEPT"
        return f"{self.promise:4} {self.what:56} {self.value:>24}  {self.wanted}{mark}"


def at_most(promise: str, what: str, value: float, limit: float, unit: str) -> Verdict:
    """A figure that must not exceed a limit."""
    wanted = f"<= {_show(limit)} {unit}"
    return Verdict(promise, what, f"{_show(value)} {unit}", wanted, value <= limit)


def at_least(promise: str, what: str, value: float, limit: float, unit: str) -> Verdict:
    """A figure that has to reach a limit."""
    wanted = f">= {_show(limit)} {unit}"
    return Verdict(promise, what, f"{_show(value)} {unit}", wanted, value >= limit)


def none_of(promise: str, what: str, found: int, total: int) -> Verdict:
    """Return the verdict on an event that must not happen, of `total` chances."""
    # Without a chance for the event, nothing was shown.
    return Verdict(promise, what, f"{found:,} of {total:,}", "0", found == 0 < total)


def no_refusal(promise: str, what: str, result: Result) -> Verdict:
    """Return the verdict on answers that may hold no refusal, with the statuses of those found."""
    refusals = Counter(answer.status for answer in result.refusals)
    value = ", ".join(f"{number} x {status}" for status, number in sorted(refusals.items())) or "0"
    return Verdict(
        promise, what, f"{value} of {len(result.seen):,}", "0", bool(result.seen) and not refusals
    )


def no_loss(promise: str, service: Gunicorn, workers: Sequence[int]) -> Verdict:
    """None of the workers has ended, nor was one taken for hung."""
    lost = len(set(workers) - set(service.workers())) + service.output().count("WORKER TIMEOUT")
    return none_of(promise, "workers that ended or hung", lost, len(workers))


def figure(promise: str, what: str, value: str) -> Verdict:
    """A figure that helps to read the others; nothing was promised of it."""
    return Verdict(promise, what, value, "", is_kept=True)


def _show(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 or figure == int(figure) else f"{figure:.2f}"
