"""The number of rounds of a fault."""

import os


def rounds(few: int, *, at_most: int) -> int:
    """Return `FAULT_ROUNDS`, up to `at_most`, or `few` if it is not set.

    `make test` tries each fault a few times, `make faults` as often as promised.
    """
    return min(int(os.environ.get("FAULT_ROUNDS", few)), at_most)
