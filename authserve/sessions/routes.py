"""The caller's own sessions."""

from typing import Any
from uuid import UUID

from authserve.core.actor import Actor
from authserve.http.authentication import current_actor, login_required
from authserve.http.openapi import Blueprint
from authserve.http.pagination import PageQuerySchema, make_page
from authserve.http.request_info import current_request_info
from authserve.sessions.errors import SessionNotFoundError
from authserve.sessions.schemas import SessionPageSchema
from authserve.sessions.service import RevokeReason, end_session, find_live_sessions

blueprint = Blueprint(
    "sessions",
    __name__,
    url_prefix="/api/v1/users/me/sessions",
    description="Where the caller is signed in.",
)


@blueprint.get("")
@login_required
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, SessionPageSchema)
def list_sessions(query: dict[str, Any]) -> dict[str, Any]:
    """List the caller's live sessions, newest first."""
    actor, limit = current_actor(), query["limit"]
    user = actor.signed_in_user
    found = find_live_sessions(user.id, limit=limit + 1, before=query["cursor"])
    page = make_page(found, limit=limit, key=lambda session: session.id)
    items = [_document(session, actor) for session in page.items]
    return {"items": items, "next_cursor": page.next_cursor}


@blueprint.delete("/<uuid:session_id>")
@login_required
@blueprint.response(204)
@blueprint.refuses(SessionNotFoundError)
def delete_session(session_id: UUID) -> None:
    """End one of the caller's sessions."""
    actor = current_actor()
    end_session(
        actor.signed_in_user,
        session_id,
        RevokeReason.ENDED_BY_USER,
        actor=actor,
        request=current_request_info(),
    )


def _document(session: Any, actor: Actor) -> dict[str, Any]:
    return {
        "id": session.id,
        "created_at": session.created_at,
        "last_used_at": session.last_used_at,
        # The nearer of its two ends: what the user may count on.
        "expires_at": min(session.expires_at, session.idle_expires_at),
        "ip": session.ip,
        "user_agent": session.user_agent,
        "amr": session.amr,
        "current": session.id == actor.session_id,
    }
