"""The report of `flask doctor`: findings, and the settings in force with the source of each."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Any

from authserve.core.container import ListSlot
from authserve.core.findings import Finding
from authserve.core.frozen import frozen
from authserve.settings.model import SETTINGS, Settings

Check = Callable[[Settings], Finding]
"""A check of `flask doctor`."""

FEATURE_CHECKS = ListSlot[Check]("feature_checks")
"""The checks that optional features add; none of them needs the database."""

FEATURE_DATA_CHECKS = ListSlot[Check]("feature_data_checks")
"""The checks of stored data that optional features add."""


MAX_NAMED = 10
"""Names in one finding at most (chosen: what fits in a few lines)."""


def join_names(names: Sequence[str]) -> str:
    """Return the first names with commas, and how many more there are."""
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


@frozen()
class EffectiveSetting:
    """A setting in force; the value of a secret is `set` or `not set`."""

    name: str
    value: str
    source: str


def effective_settings() -> list[EffectiveSetting]:
    """Return every setting with its value and the source of the value."""
    settings = SETTINGS.get()
    by_name = {field.name.upper(): field for field in fields(settings)}
    return [
        EffectiveSetting(name, _shown(settings, by_name[name]), source)
        for name, source in settings.sources.items()
    ]


def _shown(settings: Settings, field: Any) -> str:
    value = getattr(settings, field.name)
    if not field.repr:
        return "set" if value else "not set"
    if isinstance(value, timedelta):
        return f"{int(value.total_seconds())} s"
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return "" if value is None else str(value)
