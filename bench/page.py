"""Puts the measured table into `docs/performance.md`, between two comments."""

import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.gates import Row
from bench.server import ROOT

PAGE = ROOT / "docs" / "performance.md"

Measured = tuple[str, Row]
"""The kind of database, and a line of the table."""


def write(rows: Sequence[Measured], *, load: float, features: bool) -> None:
    """Replace the table of these settings in the page.

    Args:
        load: the load average when the run began.
        features: True if all optional features were on.
    """
    name = "all on" if features else "all off"
    begin, end = f"<!-- bench, {name} -->", f"<!-- end of bench, {name} -->"
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise RuntimeError(f"{PAGE.name} has no place for the table: {begin} … {end}")
    table = "\n".join([begin, "", _machine(load), "", *_table(rows), "", end])
    PAGE.write_text(f"{before}{table}{after}", encoding="utf-8")


def _machine(load: float) -> str:
    memory_gb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    cores = f"{os.cpu_count()} cores ({_processor()})"
    kernel = f"{platform.system()} {platform.release().partition('-')[0]}"
    system = f"{kernel}, Python {platform.python_version()}"
    day = f"{datetime.now(UTC):%d %B %Y}"
    return f"{day}: {cores}, {memory_gb:.0f} GB, {system}, load average {load:.1f} at the start."


def _processor() -> str:
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    found = re.search(r"model name\s*: (.*)", text)
    return found[1] if found else platform.machine()


def _table(rows: Sequence[Measured]) -> list[str]:
    lines = ["| gate | database | measured | | aim | |", "|---|---|---|---|---|---|"]
    for kind, row in rows:
        lines.append(
            f"| {row.gate} | {kind} | {row.what} | {row.value} | {row.wanted} | {row.verdict} |"
        )
    return lines
