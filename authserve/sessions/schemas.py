"""Schemas of sessions."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from marshmallow import Schema, fields, validate

from authserve.core.levels import Level
from authserve.http.pagination import make_page, page_schema
from authserve.http.schemas import EXAMPLE_TIME, EXAMPLE_USER_ID, Moment
from authserve.sessions.client_names import find_client_names
from authserve.sessions.policy import SessionKind


class SessionClientSchema(Schema):
    """The app that holds a session."""

    client_id = fields.String(required=True, metadata={"example": "wiki"})
    name = fields.String(required=True, metadata={"example": "Wiki"})


class SessionSchema(Schema):
    """A session as the API returns it."""

    id = fields.UUID(required=True, metadata={"example": EXAMPLE_USER_ID})
    kind = fields.String(
        required=True, validate=validate.OneOf(list(SessionKind)), metadata={"example": "api"}
    )
    created_at = Moment(required=True, metadata={"example": EXAMPLE_TIME})
    last_used_at = Moment(required=True, metadata={"example": EXAMPLE_TIME})
    expires_at = Moment(required=True, metadata={"example": EXAMPLE_TIME})
    ip = fields.String(required=True, allow_none=True, metadata={"example": "192.0.2.1"})
    user_agent = fields.String(required=True, allow_none=True, metadata={"example": "curl/8.5"})
    amr = fields.List(fields.String(), required=True, metadata={"example": ["pwd"]})
    acr = fields.String(required=True, metadata={"example": "aal1"})
    current = fields.Boolean(required=True)
    client = fields.Nested(
        SessionClientSchema, required=True, allow_none=True, metadata={"example": None}
    )
    parent_id = fields.UUID(required=True, allow_none=True, metadata={"example": EXAMPLE_USER_ID})
    scope = fields.String(required=True, allow_none=True, metadata={"example": "openid email"})
    is_offline = fields.Boolean(required=True)


SessionPageSchema = page_schema("SessionPageSchema", SessionSchema)


def session_page_document(
    found: Sequence[Any], *, limit: int, current_id: UUID | None
) -> dict[str, Any]:
    """Return a page of sessions.

    Args:
        found: up to `limit + 1` sessions; one more than `limit` means that a next page exists.
        limit: greatest number of sessions on the page.
        current_id: the caller's session.
    """
    page = make_page(found, limit=limit, key=lambda session: session.id)
    names = find_client_names(session.client_id for session in page.items)
    items = [_session_document(session, current_id, names) for session in page.items]
    return {"items": items, "next_cursor": page.next_cursor}


_SAME = (
    *("id", "kind", "created_at", "last_used_at", "ip", "user_agent", "amr"),
    *("parent_id", "scope", "is_offline"),
)
"""The members that have the names and values of the session's own."""


def _session_document(
    session: Any, current_id: UUID | None, names: Mapping[str, str]
) -> dict[str, Any]:
    return {
        **{name: getattr(session, name) for name in _SAME},
        "client": _client_document(session.client_id, names),
        # The earlier of its two limits: without a refresh the session lives until then.
        "expires_at": min(session.expires_at, session.idle_expires_at),
        "acr": Level(session.aal).acr,
        "current": session.id == current_id,
    }


def _client_document(client_id: str | None, names: Mapping[str, str]) -> dict[str, str] | None:
    return None if client_id is None else {"client_id": client_id, "name": names[client_id]}
