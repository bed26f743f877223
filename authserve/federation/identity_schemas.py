"""The bodies of responses about the caller's own identities at other providers."""

from collections.abc import Sequence
from typing import Any

from marshmallow import Schema, fields

from authserve.federation.own_identities import OwnIdentity
from authserve.http.pagination import make_page, page_schema
from authserve.http.schemas import EXAMPLE_TIME, EXAMPLE_USER_ID, Moment


class IdentitySchema(Schema):
    """An identity, without the provider's own id of its person."""

    id = fields.UUID(required=True, metadata={"example": EXAMPLE_USER_ID})
    provider = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "The provider's slug; null if it is not registered any more.",
            "example": "google",
        },
    )
    provider_name = fields.String(
        required=True,
        metadata={
            "description": "As on the button; the host of the issuer if the provider is gone.",
            "example": "Google",
        },
    )
    issuer = fields.String(required=True, metadata={"example": "https://accounts.google.com"})
    email = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "The address at the provider when it was last used; null without one.",
            "example": "alice@example.com",
        },
    )
    created_at = Moment(required=True, metadata={"example": EXAMPLE_TIME})
    last_used_at = Moment(required=True, allow_none=True, metadata={"example": EXAMPLE_TIME})
    usable = fields.Boolean(
        required=True, metadata={"description": "False while the provider is off or gone."}
    )


IdentityPageSchema = page_schema("IdentityPageSchema", IdentitySchema)


def identity_document(own: OwnIdentity) -> dict[str, Any]:
    """Return an identity as the API names its members."""
    identity = own.identity
    names = ("id", "issuer", "email", "created_at", "last_used_at")
    return {
        **{name: getattr(identity, name) for name in names},
        "provider": own.provider.slug if own.provider is not None else None,
        "provider_name": own.provider_name,
        "usable": own.is_usable,
    }


def identity_page_document(found: Sequence[OwnIdentity], *, limit: int) -> dict[str, Any]:
    """Return a page of identities.

    Args:
        found: up to `limit + 1` of them; one more than `limit` means that a next page exists.
        limit: greatest number of identities on the page.
    """
    page = make_page(found, limit=limit, key=lambda own: own.identity.id)
    items = [identity_document(own) for own in page.items]
    return {"items": items, "next_cursor": page.next_cursor}
