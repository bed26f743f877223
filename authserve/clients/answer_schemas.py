"""Schemas of the answers about clients; `documents.py` makes the documents."""

from marshmallow import Schema, fields, validate

from authserve.clients.failures import FailureReason
from authserve.clients.kinds import AuthMethod, ClientKind
from authserve.clients.schemas import ClaimSchema
from authserve.clients.status import ClientObstacle
from authserve.http.pagination import page_schema
from authserve.http.schemas import EXAMPLE_TIME, EXAMPLE_USER_ID

_CALLBACK = "https://wiki.example.com/callback"


def _moment(*, is_nullable: bool = False) -> fields.String:
    metadata = {"format": "date-time", "example": EXAMPLE_TIME}
    return fields.String(required=True, allow_none=is_nullable, metadata=metadata)


def _texts(*example: str) -> fields.List[str]:
    return fields.List(fields.String(), required=True, metadata={"example": list(example)})


def _one_of(*values: str) -> fields.String:
    return fields.String(required=True, validate=validate.OneOf(values))


def _seconds() -> fields.Integer:
    description = "In seconds; null means the kind's or the service's own."
    metadata = {"example": None, "description": description}
    return fields.Integer(required=True, allow_none=True, metadata=metadata)


def _uri() -> fields.String:
    return fields.String(required=True, allow_none=True, metadata={"example": None})


class ClientSecretSchema(Schema):
    """A secret as lists show it."""

    id = fields.UUID(required=True, metadata={"example": EXAMPLE_USER_ID})
    hint = fields.String(required=True, metadata={"example": "x4Tq"})
    created_at = _moment()
    expires_at = _moment(is_nullable=True)
    last_used_at = _moment(is_nullable=True)


class ClientSchema(Schema):
    """A client as the API returns it."""

    client_id = fields.String(required=True, metadata={"example": "wiki"})
    name = fields.String(required=True, metadata={"example": "Wiki"})
    kind = _one_of(*ClientKind)
    auth_method = _one_of(*AuthMethod)
    first_party = fields.Boolean(required=True)
    enabled = fields.Boolean(required=True)
    redirect_uris = _texts(_CALLBACK)
    post_logout_redirect_uris = _texts()
    backchannel_logout_uri = _uri()
    home_uri = _uri()
    origins = _texts()
    scopes = _texts("openid", "profile", "email")
    resources = _texts()
    allowed_roles = _texts()
    role_prefix = fields.String(required=True, metadata={"example": ""})
    claims = fields.List(fields.Nested(ClaimSchema), required=True, metadata={"example": []})
    id_token_claims = _one_of("full", "lean")
    signing_alg = _one_of("ES256", "RS256")
    require_pkce = fields.Boolean(required=True)
    response_mode = _one_of("query", "form_post")
    min_acr = fields.String(
        required=True, allow_none=True, validate=validate.OneOf(["aal2", "phr"])
    )
    remote_user = _one_of("id", "username")
    access_token_ttl = _seconds()
    refresh_idle_ttl = _seconds()
    refresh_ttl = _seconds()
    refresh_grace = _seconds()
    secrets = fields.List(fields.Nested(ClientSecretSchema), required=True)
    created_at = _moment()
    updated_at = _moment()
    last_used_at = _moment(is_nullable=True)


class RefusedRedirectSchema(Schema):
    """A redirect URI that requests named and the client does not have: a stranger's text."""

    value = fields.String(required=True, metadata={"example": "https://wiki.example.com/other"})
    at = _moment()
    count = fields.Integer(required=True, metadata={"example": 3})


class ClientFailureSchema(Schema):
    """A reason why requests of a client failed, with the last of them."""

    at = _moment()
    reason = _one_of(
        *(reason for reason in FailureReason if reason is not FailureReason.SCOPE_DROPPED)
    )
    correlation_id = fields.String(required=True, allow_none=True)


def _count() -> fields.Integer:
    return fields.Integer(required=True, metadata={"example": 0})


class LogoutDeliveriesSchema(Schema):
    """The logout tokens of a client: those that wait, and the outcomes of the others."""

    pending = _count()
    oldest_pending_at = _moment(is_nullable=True)
    last_error = fields.String(required=True, allow_none=True)
    delivered = _count()
    delivered_at = _moment(is_nullable=True)
    failed = _count()
    failed_at = _moment(is_nullable=True)
    fault = fields.String(required=True, allow_none=True)


class ClientStatusSchema(Schema):
    """The reasons for which a client cannot sign users in, and its latest failures."""

    can_sign_in = fields.Boolean(required=True)
    reasons = fields.List(
        fields.String(validate=validate.OneOf(list(ClientObstacle))), required=True
    )
    refused_redirect_uris = fields.List(fields.Nested(RefusedRedirectSchema), required=True)
    dropped_scopes = _texts("phone")
    last_failures = fields.List(fields.Nested(ClientFailureSchema), required=True)
    backchannel = fields.Nested(
        LogoutDeliveriesSchema, required=True, allow_none=True, metadata={"example": None}
    )


_SECRET = {
    "description": "Shown this once.",
    "example": "as_cs_0123456789abcdefghijABCDEFGHIJ0123456789abc0123ab",
}


class NewClientAnswerSchema(ClientSchema):
    """A client that was just registered, with its secret."""

    client_secret = fields.String(required=True, allow_none=True, metadata=_SECRET)


class NewClientSecretSchema(ClientSecretSchema):
    """A secret that was just made."""

    client_secret = fields.String(required=True, metadata=_SECRET)


ClientPageSchema = page_schema("ClientPageSchema", ClientSchema)
