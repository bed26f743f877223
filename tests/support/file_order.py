"""The order in which the files of tests run, and the tests that `--quick` chooses."""

from collections.abc import Iterable
from pathlib import Path

import pytest

LONG_FOLDERS = ("tests", "contracts", "docs", "flows", "hostile", "migrations")
"""Folders whose files take longest: they run first, so that no worker ends with one alone."""

WAITING_FOLDERS = ("faults", "gunicorn")
"""Folders whose tests wait for servers most of the time."""

SPREAD = 0.85
"""Part of a run that has files of `WAITING_FOLDERS`, so that none is the last (chosen)."""

SLOW_FOLDERS = {*WAITING_FOLDERS, "hostile", "migrations"}
"""Folders that `--quick` leaves out."""


def order_files(paths: Iterable[Path]) -> list[Path]:
    """Return each file once: the longest first, and those that wait spread among all others.

    If several processes waited at once, a core would have nothing to do.
    """
    files = list(dict.fromkeys(paths))
    waiting = [path for path in files if path.parent.name in WAITING_FOLDERS]
    working = [path for path in files if path not in waiting]
    working.sort(key=lambda path: path.parent.name not in LONG_FOLDERS)
    places = {path: number / len(working) for number, path in enumerate(working)}
    places |= {path: SPREAD * number / len(waiting) for number, path in enumerate(waiting)}
    return sorted(files, key=lambda path: places[path])


def find_quick(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Return the first test of each file that starts no server and injects no fault."""
    first: dict[Path, pytest.Item] = {}
    for item in items:
        is_slow = item.path.parent.name in SLOW_FOLDERS
        if not is_slow and not {"gunicorn", "fault"} & set(item.keywords):
            first.setdefault(item.path, item)
    return list(first.values())
