"""The login throttle's numbers, and what a counter means by them."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class ThrottleRule:
    """How many failures in what time begin a block.

    After the block every further failure begins a longer one; a window without any failure
    forgets it all.
    """

    limit: int
    window: timedelta


BY_IDENTIFIER = ThrottleRule(limit=5, window=timedelta(minutes=5))
BY_ADDRESS = ThrottleRule(limit=10, window=timedelta(minutes=1))
"""`security.md`: 5 failures in 5 minutes an account, 10 in one minute an address. An address gets
more, since a whole office can stand behind one."""

BLOCKS = tuple(timedelta(seconds=s) for s in (30, 60, 120, 240, 480, 900))
"""From 30 s, doubling to 15 minutes (`security.md`)."""


def block_after(failures: int, rule: ThrottleRule) -> timedelta | None:
    """How long a failure blocks that is the `failures`-th, or None if it does not yet."""
    if failures < rule.limit:
        return None
    return BLOCKS[min(failures - rule.limit, len(BLOCKS) - 1)]


def expiry_after(failures: int, rule: ThrottleRule, now: datetime) -> datetime:
    """When a counter dies whose `failures`-th failure is now, and is not the first of its window.

    A counter that blocks lives one window longer than its block, so that the block's end follows
    from the counter's: one row and one write hold both.

    Raises:
        ValueError: it begins no block; then the window goes on as it began.
    """
    block = block_after(failures, rule)
    if block is None:
        raise ValueError("below the limit a failure moves nothing")
    return now + block + rule.window


def blocked_until(
    count: int, expires_at: datetime, rule: ThrottleRule, now: datetime
) -> datetime | None:
    """When the block ends that a counter stands for, or None if there is none now.

    See `expiry_after`; the end of a block is the first moment that is free again.
    """
    end = expires_at - rule.window
    return end if count >= rule.limit and end > now else None
