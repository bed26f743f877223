"""Keyset pagination: a later page costs the same as the first."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from marshmallow import Schema, ValidationError, fields, validate

from authserve.core.base64url import decode_base64url, encode_base64url
from authserve.core.frozen import frozen
from authserve.http.schemas import StrictSchema

MAX_LIMIT = 200
DEFAULT_LIMIT = 50
"""Items per page; both numbers are the contract's."""

ItemT = TypeVar("ItemT")


Key = UUID | str | tuple[datetime, UUID] | tuple[str, int, UUID]
"""Sort key of a list: an id, a name, a time and an id, or a search's match (text, number, id)."""

_FIRST_MOMENT = datetime.min.replace(tzinfo=UTC)
_LAST_MOMENT = datetime.max.replace(tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
"""Precision of both databases and Python, so a time in a cursor is exactly the stored one."""

_MOMENT_BYTES = 8
_ID_BYTES = 16


def encode_cursor(last: Key) -> str:
    """Return the cursor of the page after the item with this key."""
    return encode_base64url(_encode_key(last))


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
    """A cursor as input, loaded as the key of the previous page's last item. It grants no access.

    Args:
        decode: returns the key from the cursor's bytes, or raises ValueError.
        pattern: a regular expression that every cursor of the list matches.
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
        try:
            return self._decode(decode_base64url(str(value)))
        except ValueError as error:
            raise ValidationError("Not a cursor of this list.") from error


def _decode_id(raw: bytes) -> UUID:
    return UUID(bytes=raw)


def decode_time_and_id(raw: bytes) -> tuple[datetime, UUID]:
    """Return the key of a list by time from a cursor's bytes; raise ValueError for any other."""
    if len(raw) != _MOMENT_BYTES + _ID_BYTES:
        raise ValueError("no time and id")
    count = int.from_bytes(raw[:_MOMENT_BYTES])
    # No cursor of ours is beyond the calendar's end; a forged one counts as the end.
    moment = _FIRST_MOMENT + min(count, _count_microseconds(_LAST_MOMENT)) * _MICROSECOND
    return moment, UUID(bytes=raw[_MOMENT_BYTES:])


def decode_match(raw: bytes) -> tuple[str, int, UUID]:
    """Return the key of a search from a cursor's bytes; raise ValueError for any other."""
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
    """The maximum number of items on a page, in ASCII digits only; Python's `int` accepts more."""

    def __init__(self) -> None:
        bounds = validate.Range(min=1, max=MAX_LIMIT)
        super().__init__(load_default=DEFAULT_LIMIT, validate=bounds)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> int:
        if not (isinstance(value, str) and value.isascii() and value.isdigit()):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class LimitQuerySchema(StrictSchema):
    """The base of the queries of lists, with the parameter `limit`."""

    limit = Limit()


class PageQuerySchema(LimitQuerySchema):
    """The query of a list that is ordered by id."""

    # 16 bytes: 21 letters of six bits, and one letter of two bits.
    cursor = Cursor(_decode_id, pattern="^[A-Za-z0-9_-]{21}[AQgw]$")


class MomentPageQuerySchema(LimitQuerySchema):
    """The query of a list that is ordered by time, then by id."""

    # 24 bytes: 32 letters.
    cursor = Cursor(decode_time_and_id, pattern="^[A-Za-z0-9_-]{32}$")


class NamePageQuerySchema(LimitQuerySchema):
    """The query of a list that is ordered by name."""

    cursor = Cursor(_decode_name, pattern="^[A-Za-z0-9_-]+$")


def page_schema(name: str, item: type[Schema]) -> type[Schema]:
    """Return the schema of a page of `item`."""
    return type(
        name,
        (Schema,),
        {
            "items": fields.List(fields.Nested(item), required=True),
            "next_cursor": fields.String(required=True, allow_none=True),
        },
    )


@frozen()
class Page:
    """A page of a list, with the cursor of the next one or None."""

    items: Sequence[Any]
    next_cursor: str | None


def make_page(found: Sequence[ItemT], *, limit: int, key: Callable[[ItemT], Key]) -> Page:
    """Return the page of the first `limit` items found.

    Args:
        found: up to `limit + 1` items; one more than the limit means that there is another page.
        key: returns an item's sort key.
    """
    items = found[:limit]
    has_more = len(found) > limit
    return Page(items, encode_cursor(key(items[-1])) if has_more else None)
