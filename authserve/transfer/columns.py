"""Conversion of another system's records: by column name, and by the meaning of a column."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from authserve.core.clock import now, to_rfc3339
from authserve.transfer.policy import id_of_source, parse_time

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class FirebaseConfig:
    """The parameters of a Firebase project's password hashes."""

    signer_key: str = field(repr=False)
    salt_separator: str
    rounds: int
    mem_cost: int


Convert = Callable[[Any, FirebaseConfig | None], Any]


def of_columns(columns: Mapping[str, str]) -> Convert:
    """Return a conversion by the names of the source's columns, in any letter case.

    Args:
        columns: for each of our fields, the source's column names, separated by spaces; the first
            column that is not null counts.
    """
    names = {ours: theirs.split() for ours, theirs in columns.items()}

    def convert(record: Record, _config: FirebaseConfig | None) -> dict[str, Any]:
        lowered = {key.lower(): value for key, value in record.items()}
        values = {
            ours: next((lowered[name] for name in theirs if lowered.get(name) is not None), None)
            for ours, theirs in names.items()
        }
        return with_identity(values)

    return convert


def with_identity(values: dict[str, Any]) -> dict[str, Any]:
    """Use a key that is a UUID as the id, and a username with an `@` as the email address."""
    source_id = values.get("source_id")
    if source_id is not None:
        values["source_id"] = str(source_id)
        values["id"] = id_of_source(str(source_id))
    username = values.get("username")
    if isinstance(username, str) and "@" in username:
        values["username"] = None
        values["email"] = values.get("email") or username
    return values


def then(convert: Convert, *steps: Callable[[Record, dict[str, Any]], None]) -> Convert:
    """Return a conversion with further steps; each gets the record and changes the values."""

    def converted(record: Record, config: FirebaseConfig | None) -> dict[str, Any]:
        values: dict[str, Any] = convert(record, config)
        lowered = {key.lower(): value for key, value in record.items()}
        for step in steps:
            step(lowered, values)
        return values

    return converted


def inactive_until(*columns: str) -> Callable[[Record, dict[str, Any]], None]:
    """Return a step that deactivates an account while one of these times is in the future."""

    def step(record: Record, values: dict[str, Any]) -> None:
        times = [parse_time(str(record[name])) for name in columns if record.get(name)]
        if any(time is not None and time > now() for time in times):
            values["is_active"] = False

    return step


def inactive_if(*columns: str) -> Callable[[Record, dict[str, Any]], None]:
    """Return a step that deactivates an account if one of these columns holds a time or is true."""

    def step(record: Record, values: dict[str, Any]) -> None:
        held = (str(record.get(name) or "").lower() for name in columns)
        if any(text not in ("", "f", "false", "0", "no", "n") for text in held):
            values["is_active"] = False

    return step


def join_names(*parts: Any) -> str | None:
    """Join the parts of a name; return None if all parts are empty."""
    return " ".join(str(part or "") for part in parts).strip() or None


def parse_object(value: Any) -> Mapping[str, Any]:
    """Return a JSON object, given as an object or as text, or an empty one if there is none."""
    parsed = json.loads(value) if isinstance(value, str) and value else value
    return parsed if isinstance(parsed, dict) else {}


def time_of_milliseconds(value: Any) -> str | None:
    """Convert milliseconds since 1970 to RFC 3339; return None for an empty value or 0."""
    return to_rfc3339(datetime.fromtimestamp(int(value) / 1000, UTC)) if value else None
