"""Keyset pages: a page costs the same however deep it is."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from marshmallow import Schema, ValidationError, fields, validate

from authserve.http.schemas import StrictSchema

MAX_LIMIT = 200
DEFAULT_LIMIT = 50
"""Both the contract's."""

ItemT = TypeVar("ItemT")


Key = UUID | str | tuple[datetime, UUID] | tuple[str, int, UUID]
"""What a list is ordered by: an id, a name, a time and then an id, or what a search has found."""

_FIRST_MOMENT = datetime.min.replace(tzinfo=UTC)
_LAST_MOMENT = datetime.max.replace(tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
"""Both databases and Python count by it, so a moment in a cursor is exactly the stored one."""

_MOMENT_BYTES = 8
_ID_BYTES = 16


def encode_cursor(last: Key) -> str:
    """The cursor of the page after the item with this key."""
    return _spell(_encode_key(last))


def _spell(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _encode_key(key: Key) -> bytes:
    if isinstance(key, UUID):
        return key.bytes
    if isinstance(key, str):
        return key.encode()
    if len(key) == 3:
        text, number, item_id = key
        return number.to_bytes() + item_id.bytes + text.encode()
    moment, item_id = key
    return _count_microseconds(moment).to_bytes(_MOMENT_BYTES) + item_id.bytes


def _count_microseconds(moment: datetime) -> int:
    return (moment - _FIRST_MOMENT) // _MICROSECOND


class Cursor(fields.Field[Any]):
    """Where the page before ended; yields the key of its last item. It grants nothing.

    Args:
        decode: makes a key of the cursor's bytes; raises ValueError.
        pattern: what every cursor of the list looks like.
    """

    def __init__(self, decode: Callable[[bytes], Any], *, pattern: str) -> None:
        metadata = {
            "description": "`next_cursor` of a page.",
            "type": "string",
            "pattern": pattern,
        }
        super().__init__(load_default=None, metadata=metadata)
        self._decode = decode

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        text = str(value)
        try:
            raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
            # There is one spelling; the decoder passes over what is not in the alphabet.
            if _spell(raw) != text:
                raise ValueError("misspelt")
            return self._decode(raw)
        except ValueError as error:
            raise ValidationError("Not a cursor of this list.") from error


def _decode_id(raw: bytes) -> UUID:
    return UUID(bytes=raw)


def decode_time_and_id(raw: bytes) -> tuple[datetime, UUID]:
    """Read the key of a list by time from a cursor's bytes; raise ValueError for any other."""
    if len(raw) != _MOMENT_BYTES + _ID_BYTES:
        raise ValueError("no moment and id")
    count = int.from_bytes(raw[:_MOMENT_BYTES])
    # Beyond the calendar's end, which no list of ours leads to, there is nothing else.
    moment = _FIRST_MOMENT + min(count, _count_microseconds(_LAST_MOMENT)) * _MICROSECOND
    return moment, UUID(bytes=raw[_MOMENT_BYTES:])


def decode_match(raw: bytes) -> tuple[str, int, UUID]:
    """Read the key of a search from a cursor's bytes; raise ValueError for any other."""
    number, item_id, text = raw[:1], raw[1 : 1 + _ID_BYTES], raw[1 + _ID_BYTES :].decode()
    if not text or "\x00" in text:
        raise ValueError("no match")
    return text, int.from_bytes(number), UUID(bytes=item_id)


def _decode_name(raw: bytes) -> str:
    name = raw.decode()
    if not name or "\x00" in name:
        raise ValueError("no name")
    return name


class Limit(fields.Integer):
    """How many items a page may have, in plain digits: Python's `int` takes more than those."""

    def __init__(self) -> None:
        bounds = validate.Range(min=1, max=MAX_LIMIT)
        super().__init__(load_default=DEFAULT_LIMIT, validate=bounds)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> int:
        if not (isinstance(value, str) and value.isascii() and value.isdigit()):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class LimitQuerySchema(StrictSchema):
    """How much of a list."""

    limit = Limit()


class PageQuerySchema(LimitQuerySchema):
    """Which page of a list that is ordered by id."""

    # 16 bytes: 21 letters of six bits, and one of two.
    cursor = Cursor(_decode_id, pattern="^[A-Za-z0-9_-]{21}[AQgw]$")


class MomentPageQuerySchema(LimitQuerySchema):
    """Which page of a list that is ordered by a moment, and by id where that is the same."""

    # 24 bytes: 32 letters.
    cursor = Cursor(decode_time_and_id, pattern="^[A-Za-z0-9_-]{32}$")


class NamePageQuerySchema(LimitQuerySchema):
    """Which page of a list that is ordered by name."""

    cursor = Cursor(_decode_name, pattern="^[A-Za-z0-9_-]+$")


def page_schema(name: str, item: type[Schema]) -> type[Schema]:
    """The form of a page of `item`."""
    return type(
        name,
        (Schema,),
        {
            "items": fields.List(fields.Nested(item), required=True),
            "next_cursor": fields.String(required=True, allow_none=True),
        },
    )


@dataclass(frozen=True, slots=True)
class Page:
    """What a query for one item more than the limit found."""

    items: Sequence[Any]
    next_cursor: str | None


def make_page(found: Sequence[ItemT], *, limit: int, key: Callable[[ItemT], Key]) -> Page:
    """Cut the page from what was found.

    Args:
        found: up to `limit + 1` items; one more than the limit means that there is another page.
        key: what the list is ordered by.
    """
    items = found[:limit]
    has_more = len(found) > limit
    return Page(items, encode_cursor(key(items[-1])) if has_more else None)
