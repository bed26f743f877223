"""The limits of the gates: the line that fails, and the aim."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """The two lines of a gate.

    Args:
        fails: beyond it, the gate fails; None if only the aim is set.
        aim: what the work is done for.
        unit: of both.
        is_least: True if greater figures are better.
    """

    fails: float | None
    aim: float
    unit: str
    is_least: bool = False

    def __str__(self) -> str:
        """The aim, and the line that fails."""
        sign, beyond = (">=", "<") if self.is_least else ("<=", ">")
        fails = "" if self.fails is None else f" (fails {beyond} {self.fails:g})"
        return f"{sign} {self.aim:g} {self.unit}{fails}"

    def verdict(self, value: float) -> str:
        """`aim`, `met` between the two lines, or `FAILS`."""
        if self._holds(value, self.aim):
            return "aim"
        return "met" if self.fails is None or self._holds(value, self.fails) else "FAILS"

    def _holds(self, value: float, line: float) -> bool:
        return value >= line if self.is_least else value <= line


def _at_least(fails: float | None, aim: float) -> Limit:
    return Limit(fails, aim, "x", is_least=True)


LIMITS = {
    "G1": {"postgresql": _at_least(0.60, 0.95), "sqlite": _at_least(None, 0.75)},
    "G4 login": dict.fromkeys(("postgresql", "sqlite"), _at_least(0.70, 0.88)),
    "G4 register": dict.fromkeys(("postgresql", "sqlite"), _at_least(0.70, 0.85)),
    "G6": dict.fromkeys(("postgresql", "sqlite"), Limit(25, 12, "ms")),
    "G7": dict.fromkeys(("postgresql", "sqlite"), Limit(150, 30, "ms")),
    "G8": {"postgresql": _at_least(0.40, 0.60), "sqlite": _at_least(None, 0.35)},
    "G9 idle": dict.fromkeys(("postgresql", "sqlite"), Limit(150, 110, "MB")),
    "G9 loaded": dict.fromkeys(("postgresql", "sqlite"), Limit(180, 125, "MB")),
    "G1 forward-auth": dict.fromkeys(("postgresql", "sqlite"), _at_least(None, 0.60)),
    "G10": dict.fromkeys(("postgresql", "sqlite"), Limit(2.2, 1.6, "x")),
}
"""By gate and database."""
