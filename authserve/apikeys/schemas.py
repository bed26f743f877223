"""The bodies of requests and responses about API keys."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from marshmallow import Schema, fields, validate

from authserve.apikeys.create import NewKey
from authserve.apikeys.listing import KeyView
from authserve.apikeys.policy import (
    DEFAULT_LIFETIME,
    MAX_LIFETIME,
    MAX_SCOPES,
    MIN_LIFETIME,
    NAME_MAX_LENGTH,
)
from authserve.http.fields import DisplayName
from authserve.http.pagination import make_page, page_schema
from authserve.http.schemas import EXAMPLE_TIME, EXAMPLE_USER_ID, Moment, StrictSchema

EXAMPLE_KEY = "ask_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG0aB1cD"

MAX_KEY_LENGTH = 200
"""Characters of a text that another service wants verified (chosen); a key has about 53."""

_EXAMPLE_SCOPES = ["account", "reports:read"]


def _scope() -> fields.String:
    return fields.String(validate=validate.Length(1, 129))


class NewKeyRequestSchema(StrictSchema):
    """A key to make; `expires_in` is in seconds."""

    name = DisplayName(
        max_length=NAME_MAX_LENGTH, required=True, metadata={"example": "Nightly report"}
    )
    scopes = fields.List(
        _scope(),
        required=True,
        validate=validate.Length(1, MAX_SCOPES),
        metadata={"example": ["account"]},
    )
    expires_in = fields.Integer(
        strict=True,
        load_default=int(DEFAULT_LIFETIME.total_seconds()),
        validate=validate.Range(
            int(MIN_LIFETIME.total_seconds()), int(MAX_LIFETIME.total_seconds())
        ),
        metadata={"description": "Seconds."},
    )


class NewKeySchema(Schema):
    """A key that was made just now; no other call returns its text."""

    id = fields.UUID(required=True, metadata={"example": EXAMPLE_USER_ID})
    name = fields.String(required=True, metadata={"example": "Nightly report"})
    key = fields.String(required=True, metadata={"example": EXAMPLE_KEY})
    hint = fields.String(required=True, metadata={"example": EXAMPLE_KEY[-4:]})
    scopes = fields.List(fields.String(), required=True, metadata={"example": _EXAMPLE_SCOPES})
    expires_at = Moment(required=True, metadata={"example": EXAMPLE_TIME})


class KeySchema(Schema):
    """A key as lists show it."""

    id = fields.UUID(required=True, metadata={"example": EXAMPLE_USER_ID})
    name = fields.String(required=True, metadata={"example": "Nightly report"})
    hint = fields.String(
        required=True, metadata={"example": EXAMPLE_KEY[-4:], "description": "Its last letters."}
    )
    scopes = fields.List(fields.String(), required=True, metadata={"example": _EXAMPLE_SCOPES})
    created_at = Moment(required=True, metadata={"example": EXAMPLE_TIME})
    expires_at = Moment(required=True, metadata={"example": EXAMPLE_TIME})
    last_used_at = Moment(required=True, allow_none=True, metadata={"example": EXAMPLE_TIME})
    last_used_ip = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "example": "192.0.2.1",
            "description": "Null if it was not used, or another service had it verified.",
        },
    )


KeyPageSchema = page_schema("APIKeyPageSchema", KeySchema)


class VerifyKeySchema(StrictSchema):
    """A key that another service got, and the scopes that it needs for its call."""

    key = fields.String(
        required=True,
        validate=validate.Length(1, MAX_KEY_LENGTH),
        metadata={"example": EXAMPLE_KEY},
    )
    scopes = fields.List(
        _scope(),
        load_default=list,
        validate=validate.Length(max=MAX_SCOPES),
        metadata={"example": ["reports:read"]},
    )


class VerifiedKeySchema(Schema):
    """The facts that another service may know of a key; only `active` if it is not good."""

    active = fields.Boolean(required=True)
    sufficient = fields.Boolean(
        metadata={"description": "False if one of the scopes asked for has no effect now."}
    )
    sub = fields.UUID(metadata={"example": EXAMPLE_USER_ID})
    key_id = fields.UUID(metadata={"example": EXAMPLE_USER_ID})
    scope = fields.String(
        metadata={"example": "account reports:read", "description": "What it may do now."}
    )
    exp = fields.Integer(metadata={"example": 1795419675})
    username = fields.String(metadata={"example": "alice"})


def new_key_document(made: NewKey) -> dict[str, Any]:
    """Return a new key as the API names its members."""
    names = ("id", "name", "key", "hint", "scopes", "expires_at")
    return {name: getattr(made, name) for name in names}


def key_page_document(found: Sequence[KeyView], *, limit: int) -> dict[str, Any]:
    """Return a page of keys.

    Args:
        found: up to `limit + 1` keys; one more than `limit` means that a next page exists.
        limit: greatest number of keys on the page.
    """
    page = make_page(found, limit=limit, key=lambda key: key.id)
    return {"items": [asdict(key) for key in page.items], "next_cursor": page.next_cursor}


def lifetime_of(body: dict[str, Any]) -> timedelta:
    """Return the lifetime that `NewKeyRequestSchema` loaded."""
    return timedelta(seconds=body["expires_in"])
