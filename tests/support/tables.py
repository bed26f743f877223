"""Reading the tables that commands print."""

import re


def read_table(text: str) -> list[list[str]]:
    """Return the cells of every line of a table, those of its header first."""
    return [re.split(r"\s{2,}", line) for line in text.splitlines()]
