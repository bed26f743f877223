"""How often a fault is tried."""

import os


def rounds(few: int, *, at_most: int) -> int:
    """As often as `FAULT_ROUNDS` says, up to `at_most`; `few` times where it says nothing.

    `make test` tries each fault a few times, `make faults` as often as the promises say.
    """
    return min(int(os.environ.get("FAULT_ROUNDS", few)), at_most)
