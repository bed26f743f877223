"""The findings of checks, as `flask` commands print them."""

from collections.abc import Iterable
from enum import StrEnum

from authserve.core.cli_output import print_line
from authserve.core.frozen import frozen


class Level(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@frozen()
class Finding:
    """The result of a check.

    Args:
        check: the name of the check.
        message: the state that was found, with the remedy if there is a fault.
    """

    check: str
    level: Level
    message: str


_MARKS = {Level.OK: "ok     ", Level.WARNING: "warning", Level.FAILURE: "FAILURE"}


def print_findings(findings: Iterable[Finding]) -> None:
    """Write each finding on a line for people."""
    for finding in findings:
        print_line(f"{_MARKS[finding.level]}  {finding.check}: {finding.message}")


def has_failure(findings: Iterable[Finding]) -> bool:
    """Return True if a check failed; warnings are none."""
    return any(finding.level is Level.FAILURE for finding in findings)
