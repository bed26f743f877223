"""The result of a check."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check.

    Args:
        check: the name of the check.
        message: the state that was found, with the remedy if there is a fault.
    """

    check: str
    level: Level
    message: str
