"""Result of one hit: its window's sum and end."""

from dataclasses import dataclass
from math import ceil
from typing import Protocol

from authserve.core.clock import now


@dataclass(frozen=True, slots=True)
class Window:
    """The window that counted a hit.

    Args:
        hits: the window's sum, this hit included.
        ends_at: seconds since 1970.
    """

    hits: int
    ends_at: float

    @property
    def remaining_secs(self) -> int:
        """Whole seconds until the next window can begin, at least 1."""
        return max(1, ceil(self.ends_at - now().timestamp()))


class WindowStorage(Protocol):
    """Interface of a storage that answers a hit with its window, in one round trip."""

    @property
    def outages(self) -> tuple[type[Exception], ...]:
        """Exceptions that `hit` raises while the storage is away."""

    def hit(self, key: str, expiry: int, amount: int = 1) -> Window:
        """Count `amount` in the current window, or in a new one of `expiry` seconds."""

    def check(self) -> bool:
        """Return True if the storage answers."""
