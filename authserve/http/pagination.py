"""Keyset pages: a page costs the same however deep it is."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from marshmallow import Schema, ValidationError, fields, validate

from authserve.http.schemas import StrictSchema

MAX_LIMIT = 200
DEFAULT_LIMIT = 50
"""Both the contract's."""

ItemT = TypeVar("ItemT")


Key = UUID | str
"""What a list is ordered by: an id, or a name."""


def encode_cursor(last: Key) -> str:
    """The cursor of the page after the item with this key."""
    raw = last.bytes if isinstance(last, UUID) else last.encode()
    return urlsafe_b64encode(raw).decode().rstrip("=")


class Cursor(fields.Field[Key]):
    """Where the page before ended; yields the key of its last item. It grants nothing.

    Args:
        decode: bytes to key; raises ValueError.
        pattern: what every cursor of the list looks like.
    """

    def __init__(self, decode: Callable[[bytes], Key], *, pattern: str) -> None:
        metadata = {
            "description": "`next_cursor` of a page.",
            "type": "string",
            "pattern": pattern,
        }
        super().__init__(load_default=None, metadata=metadata)
        self._decode = decode

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Key:
        text = str(value)
        try:
            last = self._decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except ValueError as error:
            raise ValidationError("Not a cursor of this list.") from error
        # One key has one spelling; decoders pass over what is not in the alphabet.
        if encode_cursor(last) != text:
            raise ValidationError("Not a cursor of this list.")
        return last


def _decode_id(raw: bytes) -> UUID:
    return UUID(bytes=raw)


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
