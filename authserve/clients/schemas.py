"""Schemas of clients: the shape of input, and documents as output."""

from typing import Any

from marshmallow import ValidationError, fields, validate

from authserve.clients.claims import (
    MAX_MAP_ENTRIES,
    MAX_VALUE_LENGTH,
    ClaimPlace,
    ClaimRule,
    ClaimSource,
    rule_from_document,
)
from authserve.clients.configuration import (
    MAX_RESOURCES,
    MAX_ROLES,
    MAX_SCOPES,
    MAX_URIS,
    PROXY_SCOPES,
    ClientConfiguration,
)
from authserve.clients.kinds import ClientKind
from authserve.clients.redirect_uris import MAX_URI_LENGTH
from authserve.clients.registry import CLIENT_ID_PATTERN
from authserve.core.identifiers import (
    InvalidIdentifierError,
    clean_display_name,
)
from authserve.http.fields import StrictBoolean, TextList, matches_pattern
from authserve.http.schemas import StrictSchema
from authserve.rbac.policy import ROLE_NAME_PATTERN, ROLE_NAME_RULE

NAME_MAX_LENGTH = 100

_YEAR_SECS = 31_536_000

_ROLE_PREFIX_PATTERN = "^[a-z0-9_.-]{0,64}$"

SECRET_MAX_SECS = 10 * _YEAR_SECS
"""Limits the lifetime of a secret that expires, in seconds (chosen)."""


class ClientName(fields.String):
    """A client's name for people."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, *args, **kwargs)
        try:
            return clean_display_name(text, max_length=NAME_MAX_LENGTH)
        except InvalidIdentifierError as error:
            raise ValidationError(str(error)) from error


def _uris(*example: str, max_items: int = MAX_URIS) -> TextList:
    length = validate.Length(min=1, max=MAX_URI_LENGTH)
    return TextList(max_items=max_items, text=length, metadata={"example": list(example)})


def _uri(example: str) -> fields.String:
    length = validate.Length(min=1, max=MAX_URI_LENGTH)
    return fields.String(allow_none=True, validate=length, metadata={"example": example})


def _seconds(low: int, high: int) -> fields.Integer:
    return fields.Integer(strict=True, allow_none=True, validate=validate.Range(min=low, max=high))


class ClaimSchema(StrictSchema):
    """A mapped claim, loaded as a `ClaimRule`."""

    name = fields.String(
        required=True, validate=validate.Length(max=100), metadata={"example": "role"}
    )
    source = fields.String(
        required=True,
        data_key="from",
        validate=validate.OneOf([source.value for source in ClaimSource]),
    )
    value = fields.String(validate=validate.Length(max=MAX_VALUE_LENGTH))
    map = fields.List(
        fields.List(
            fields.String(validate=validate.Length(max=MAX_VALUE_LENGTH)),
            validate=validate.Length(equal=2),
        ),
        validate=validate.Length(max=MAX_MAP_ENTRIES),
    )
    default = fields.String(validate=validate.Length(max=MAX_VALUE_LENGTH))
    places = fields.List(
        fields.String(validate=validate.OneOf([place.value for place in ClaimPlace])),
        data_key="in",
        load_default=[ClaimPlace.ID_TOKEN.value, ClaimPlace.USERINFO.value],
        validate=validate.Length(min=1, max=len(ClaimPlace)),
    )


_EXAMPLE_CLAIM = {
    "name": "role",
    "from": "roles",
    "map": [["admin", "Admin"]],
    "default": "Viewer",
    "in": ["id_token", "userinfo"],
}


class Claims(fields.List[Any]):
    """A list of mapped claims, loaded as a tuple of `ClaimRule`."""

    def __init__(self) -> None:
        super().__init__(fields.Nested(ClaimSchema), metadata={"example": [_EXAMPLE_CLAIM]})

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        loaded: list[Any] = super()._deserialize(value, *args, **kwargs)
        return tuple(map(_to_rule, loaded))


def _to_rule(loaded: dict[str, Any]) -> ClaimRule:
    names = {"source": "from", "places": "in"}
    return rule_from_document({names.get(name, name): value for name, value in loaded.items()})


class ClientChangesSchema(StrictSchema):
    """New values of a client; those that are left out stay."""

    name = ClientName(metadata={"example": "Wiki"})
    first_party = StrictBoolean()
    enabled = StrictBoolean()
    redirect_uris = _uris("https://wiki.example.com/callback")
    post_logout_redirect_uris = _uris("https://wiki.example.com/")
    backchannel_logout_uri = _uri("https://wiki.example.com/backchannel-logout")
    home_uri = _uri("https://wiki.example.com/")
    scopes = TextList(
        max_items=MAX_SCOPES,
        text=validate.Length(min=1, max=130),
        metadata={"example": ["openid", "profile", "email"]},
    )
    # Only a proxied application has them.
    origins = _uris()
    resources = _uris("https://api.example.com", max_items=MAX_RESOURCES)
    allowed_roles = TextList(
        max_items=MAX_ROLES,
        text=matches_pattern(ROLE_NAME_PATTERN, error=ROLE_NAME_RULE),
        metadata={"example": ["user"]},
    )
    role_prefix = fields.String(
        validate=matches_pattern(
            _ROLE_PREFIX_PATTERN,
            error="At most 64 small letters, digits, dots, hyphens and underscores.",
        ),
        metadata={"pattern": _ROLE_PREFIX_PATTERN, "example": "wiki-"},
    )
    claims = Claims()
    id_token_claims = fields.String(validate=validate.OneOf(["full", "lean"]))
    signing_alg = fields.String(validate=validate.OneOf(["ES256", "RS256"]))
    require_pkce = StrictBoolean()
    response_mode = fields.String(validate=validate.OneOf(["query", "form_post"]))
    min_acr = fields.String(allow_none=True, validate=validate.OneOf(["aal2", "phr"]))
    remote_user = fields.String(validate=validate.OneOf(["id", "username"]))
    # At most an hour, because other services accept a token that long after its session's end.
    access_token_ttl = _seconds(60, 3_600)
    refresh_idle_ttl = _seconds(60, _YEAR_SECS)
    refresh_ttl = _seconds(60, _YEAR_SECS)
    # RFC 9700 §4.14 leaves room for a retry; a client with a slow network may need more than ours.
    refresh_grace = _seconds(0, 60)


class NewClientSchema(ClientChangesSchema):
    """A client to register."""

    client_id = fields.String(
        required=True, metadata={"pattern": CLIENT_ID_PATTERN, "example": "wiki"}
    )
    name = ClientName(required=True, metadata={"example": "Wiki"})
    kind = fields.String(
        required=True, validate=validate.OneOf([kind.value for kind in ClientKind])
    )


class SecretRequestSchema(StrictSchema):
    """The lifetime of a new secret; without one, it does not expire."""

    is_body_optional = True

    expires_in = fields.Integer(
        strict=True,
        validate=validate.Range(min=60, max=SECRET_MAX_SECS),
        metadata={"description": "In seconds.", "example": 7_776_000},
    )


def to_configuration(loaded: dict[str, Any]) -> ClientConfiguration:
    """Return the values of a client that `NewClientSchema` has loaded, without the id."""
    values = {name: value for name, value in loaded.items() if name not in ("client_id", "kind")}
    kind = ClientKind(loaded["kind"])
    if kind is ClientKind.PROXY:
        values.setdefault("scopes", PROXY_SCOPES)
    return ClientConfiguration(kind=kind, **values)
