"""Schemas of providers: the shape of input, and documents as output."""

from typing import Any, cast

from marshmallow import Schema, fields, validate

from authserve.core.identifiers import canonical_domain
from authserve.federation.configuration import (
    MAX_DOMAINS,
    MAX_ISSUER_LENGTH,
    MAX_SCOPES,
    MAX_SECRET_LENGTH,
    SLUG_PATTERN,
    ProviderChanges,
    ProviderConfiguration,
    new_configuration,
)
from authserve.federation.models import CLIENT_ID_MAX_LENGTH, NAME_MAX_LENGTH
from authserve.federation.policy import LinkPolicy
from authserve.federation.presets import Preset
from authserve.http.fields import DisplayName, StrictBoolean, TextList, matches_pattern
from authserve.http.pagination import page_schema
from authserve.http.schemas import EXAMPLE_TIME, StrictSchema

_DOMAIN_MAX_LENGTH = 253
"""Limits a domain's name, in characters (RFC 1035 §2.3.4, written with dots)."""

_EXAMPLE_ISSUER = "https://accounts.google.com"

_EXAMPLE_ID = "1234.apps.googleusercontent.com"


def _credential(max_length: int, **metadata: Any) -> dict[str, Any]:
    """Return the arguments of a field for a client's id or secret (RFC 6749, appendix A.1, A.2)."""
    pattern = rf"^[\x20-\x7e]{{1,{max_length}}}$"
    return {
        "validate": matches_pattern(pattern, error=f"1 to {max_length} characters of ASCII."),
        "metadata": {"pattern": pattern, **metadata},
    }


_CLIENT_ID = _credential(CLIENT_ID_MAX_LENGTH, example=_EXAMPLE_ID)

_SECRET = _credential(
    MAX_SECRET_LENGTH, example="GOCSPX-0123456789", description="No call returns it."
)


class ProviderChangesSchema(StrictSchema):
    """New values of a provider; those that are left out stay."""

    name = DisplayName(max_length=NAME_MAX_LENGTH, metadata={"example": "Google"})
    issuer = fields.String(
        validate=validate.Length(min=1, max=MAX_ISSUER_LENGTH),
        metadata={"example": _EXAMPLE_ISSUER},
    )
    client_id = fields.String(**_CLIENT_ID)
    client_secret = fields.String(**_SECRET)
    scopes = TextList(
        max_items=MAX_SCOPES,
        text=validate.Length(min=1, max=100),
        metadata={"example": ["openid", "email", "profile"]},
    )
    enabled = StrictBoolean()
    sign_up = StrictBoolean()
    link = fields.String(validate=validate.OneOf(list(LinkPolicy)))
    trusts_email = StrictBoolean()
    trusts_mfa = StrictBoolean()
    allowed_domains = TextList(
        max_items=MAX_DOMAINS,
        text=validate.Length(min=1, max=_DOMAIN_MAX_LENGTH),
        metadata={"example": ["example.com"]},
    )


class NewProviderSchema(ProviderChangesSchema):
    """A provider to register; its preset knows what is left out."""

    slug = fields.String(metadata={"pattern": SLUG_PATTERN, "example": "google"})
    preset = fields.String(
        required=True, validate=validate.OneOf(list(Preset)), metadata={"example": "google"}
    )
    client_id = fields.String(required=True, **_CLIENT_ID)
    client_secret = fields.String(required=True, **_SECRET)


_NO_VALUES = ("slug", "preset", "client_secret")
"""Input beside a provider's values."""


def to_changes(loaded: dict[str, Any]) -> ProviderChanges:
    """Return the values among input that `ProviderChangesSchema` has loaded."""
    values = {name: value for name, value in loaded.items() if name not in _NO_VALUES}
    if "link" in values:
        values["link"] = LinkPolicy(values["link"])
    if "allowed_domains" in values:
        # What is no domain stays as it is; the use case refuses it.
        domains = values["allowed_domains"]
        values["allowed_domains"] = frozenset(canonical_domain(each) or each for each in domains)
    return cast(ProviderChanges, values)


def to_configuration(loaded: dict[str, Any]) -> tuple[str, ProviderConfiguration]:
    """Return the slug and the values of a provider that `NewProviderSchema` has loaded."""
    preset = Preset(loaded["preset"])
    return loaded.get("slug", preset.value), new_configuration(preset, to_changes(loaded))


def _moment() -> fields.String:
    return fields.String(required=True, metadata={"format": "date-time", "example": EXAMPLE_TIME})


class ProviderSchema(Schema):
    """A provider as the API returns it, without its secret."""

    slug = fields.String(required=True, metadata={"example": "google"})
    preset = fields.String(required=True, validate=validate.OneOf(list(Preset)))
    name = fields.String(required=True, metadata={"example": "Google"})
    issuer = fields.String(required=True, metadata={"example": _EXAMPLE_ISSUER})
    client_id = fields.String(required=True, metadata={"example": _EXAMPLE_ID})
    redirect_uri = fields.String(
        required=True,
        metadata={
            "example": "https://auth.example.com/sign-in/with/google/callback",
            "description": "To register at the provider.",
        },
    )
    scopes = fields.List(
        fields.String(), required=True, metadata={"example": ["openid", "email", "profile"]}
    )
    enabled = fields.Boolean(required=True)
    sign_up = fields.Boolean(required=True)
    link = fields.String(required=True, validate=validate.OneOf(list(LinkPolicy)))
    trusts_email = fields.Boolean(required=True)
    trusts_mfa = fields.Boolean(required=True)
    allowed_domains = fields.List(fields.String(), required=True, metadata={"example": []})
    created_at = _moment()
    updated_at = _moment()


ProviderPageSchema = page_schema("ProviderPageSchema", ProviderSchema)
