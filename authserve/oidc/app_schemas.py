"""Schemas of the apps of a user. It is small because OAuth's own calls have no schemas."""

from typing import Any

from marshmallow import Schema, fields

from authserve.http.schemas import EXAMPLE_TIME, Moment
from authserve.oidc.apps import AuthorizedApp
from authserve.sessions.schemas import SessionClientSchema


class AuthorizedAppSchema(Schema):
    """An app that can use the caller's account."""

    client = fields.Nested(SessionClientSchema, required=True)
    scopes = fields.List(fields.String(), required=True, metadata={"example": ["email", "openid"]})
    granted_at = Moment(required=True, allow_none=True, metadata={"example": EXAMPLE_TIME})
    last_used_at = Moment(required=True, allow_none=True, metadata={"example": EXAMPLE_TIME})
    live_sessions = fields.Integer(required=True, metadata={"example": 1})


class AuthorizedAppListSchema(Schema):
    """All authorized apps of the caller, without pages: a person has few."""

    items = fields.List(fields.Nested(AuthorizedAppSchema), required=True)


def app_document(app: AuthorizedApp) -> dict[str, Any]:
    """Return an app as the API returns it."""
    client = app.client
    return {
        "client": {"client_id": client.client_id, "name": client.configuration.name},
        "scopes": list(app.scopes),
        "granted_at": app.granted_at,
        "last_used_at": app.last_used_at,
        "live_sessions": app.live_sessions,
    }
