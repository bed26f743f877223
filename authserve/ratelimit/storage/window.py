"""What one hit tells: the sum of its window, and when that ends."""

from dataclasses import dataclass
from math import ceil
from typing import Protocol

from authserve.core.clock import now


@dataclass(frozen=True, slots=True)
class Window:
    """The window that a hit was counted in.

    Args:
        hits: all that it has counted, this one included.
        ends_at: seconds since 1970.
    """

    hits: int
    ends_at: float

    @property
    def remaining_secs(self) -> int:
        """Whole seconds after which the next window can begin, at least one."""
        return max(1, ceil(self.ends_at - now().timestamp()))


class WindowStorage(Protocol):
    """A storage that answers a hit with its whole window, in one round trip."""

    @property
    def outages(self) -> tuple[type[Exception], ...]:
        """What `hit` raises while the storage is away."""

    def hit(self, key: str, expiry: int, amount: int = 1) -> Window:
        """Count `amount` in the present window, or in a new one of `expiry` seconds."""

    def check(self) -> bool:
        """Whether it answers."""
