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


class Cursor(fields.Field[UUID]):
    """Where the page before ended; yields the id of its last item. It grants nothing."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> UUID:
        text = str(value)
        try:
            last_id = UUID(bytes=urlsafe_b64decode(f"{text}=="))
        except ValueError as error:
            raise ValidationError("Not a cursor of this list.") from error
        if encode_cursor(last_id) != text:
            raise ValidationError("Not a cursor of this list.")
        return last_id


def encode_cursor(last_id: UUID) -> str:
    """The cursor of the page after the item with this id."""
    return urlsafe_b64encode(last_id.bytes).decode().rstrip("=")


class PageQuerySchema(StrictSchema):
    """Which page of a list."""

    limit = fields.Integer(
        load_default=DEFAULT_LIMIT, validate=validate.Range(min=1, max=MAX_LIMIT)
    )
    cursor = Cursor(load_default=None, metadata={"description": "`next_cursor` of a page."})


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


def make_page(found: Sequence[ItemT], *, limit: int, key: Callable[[ItemT], UUID]) -> Page:
    """Cut the page from what was found.

    Args:
        found: up to `limit + 1` items; one more than the limit means that there is another page.
        key: the id that the list is ordered by.
    """
    items = found[:limit]
    has_more = len(found) > limit
    return Page(items, encode_cursor(key(items[-1])) if has_more else None)
