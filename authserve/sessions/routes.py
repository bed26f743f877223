"""API routes of the caller's own sessions."""

from typing import Any
from uuid import UUID

from authserve.http.authentication import current_actor, login_required
from authserve.http.callers import ACCOUNT_SCOPE
from authserve.http.openapi import Blueprint, open_to_scope
from authserve.http.pagination import PageQuerySchema
from authserve.http.request_info import current_request_info
from authserve.sessions.errors import SessionNotFoundError
from authserve.sessions.listing import find_live_sessions
from authserve.sessions.policy import RevokeReason
from authserve.sessions.revoke import end_session, end_sessions
from authserve.sessions.schemas import SessionPageSchema, session_page_document

blueprint = Blueprint(
    "sessions",
    __name__,
    url_prefix="/api/v1/users/me/sessions",
    description="Where the caller is signed in.",
)


@blueprint.get("")
@login_required
@open_to_scope(ACCOUNT_SCOPE)
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, SessionPageSchema)
def list_sessions(query: dict[str, Any]) -> dict[str, Any]:
    """List the caller's live sessions, newest first."""
    actor, limit = current_actor(), query["limit"]
    user = actor.signed_in_user
    found = find_live_sessions(user.id, limit=limit + 1, before=query["cursor"])
    return session_page_document(found, limit=limit, current_id=actor.session_id)


@blueprint.delete("")
@login_required
@blueprint.response(204)
def delete_other_sessions() -> None:
    """End all of the caller's sessions except the current one."""
    actor = current_actor()
    end_sessions(
        actor.signed_in_user,
        RevokeReason.ENDED_BY_USER,
        actor=actor,
        request=current_request_info(),
        keep=actor.session_id,
    )


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
