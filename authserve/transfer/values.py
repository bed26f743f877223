"""The forms in which other systems and databases write ids, times and truth values."""

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from marshmallow import ValidationError, fields


def id_of_source(source_id: str) -> str | None:
    """Return a source's key as an account id if it is a UUID, else None."""
    try:
        return str(UUID(source_id)) if len(source_id) == _UUID_LENGTH else None
    except ValueError:
        return None


_UUID_LENGTH = 36
"""The length of a UUID with its hyphens (RFC 9562 §4); Python accepts other forms too."""


def parse_time(text: str) -> datetime | None:
    """Parse a time in a database's form; without an offset it is in UTC.

    It accepts RFC 3339, also with a space for the T, offsets such as `+00` and ` +00:00`, a
    fraction of any length, and a date alone.

    Returns:
        The time in UTC, or None for MySQL's `0000-00-00 00:00:00`.

    Raises:
        ValueError: the text is not a time.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError("no time")
    if match["date"] == "0000-00-00":
        return None
    sign, hours, minutes = match["sign"], match["hours"], match["minutes"]
    offset = f"{sign}{hours}:{minutes or '00'}" if sign else "+00:00"
    fraction = (match["fraction"] or "")[:7]
    clock = match["clock"] or "00:00:00"
    parsed = datetime.fromisoformat(f"{match['date']}T{clock}{fraction}{offset}")
    # In the years 1 and 9999 the offset is ignored: a conversion could leave the calendar.
    return parsed.astimezone(UTC) if 1 < parsed.year < 9999 else parsed.replace(tzinfo=UTC)


_TIME = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ](?P<clock>[0-9]{2}:[0-9]{2}:[0-9]{2})(?P<fraction>\.[0-9]+)?"
    r" ?(?:[Zz]|UTC|(?P<sign>[+-])(?P<hours>[0-9]{2}):?(?P<minutes>[0-9]{2})?)?)?"
)

TRUE_WORDS = frozenset({"1", "true", "t", "yes", "y"})
FALSE_WORDS = frozenset({"0", "false", "f", "no", "n"})


def parse_truth(value: object) -> bool:
    """Parse a truth value in a database's form.

    A time counts as True, because the event happened then; MySQL's zero time counts as False.

    Raises:
        ValueError: the value is neither a truth value nor a time.
    """
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in TRUE_WORDS or word in FALSE_WORDS:
        return word in TRUE_WORDS
    return parse_time(word) is not None


class TimeOfDatabase(fields.Field[datetime | None]):
    """A time in one of the forms of `parse_time`."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> datetime | None:
        try:
            return parse_time(value)
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise ValidationError("Not a time such as 2026-11-23 06:49:48+00.") from error


class TruthOfDatabase(fields.Field[bool]):
    """A truth value in one of the forms of `parse_truth`."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> bool:
        try:
            return parse_truth(value)
        except ValueError as error:
            raise ValidationError("Not true or false.") from error
