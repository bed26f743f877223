"""The API of the audit trail."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from authserve.audit.own_events import find_own_events
from authserve.audit.read import EventFilters, RecordedEvent, find_events, position_of
from authserve.audit.schemas import AuditEventPageSchema, ClientAddressSchema, EventQuerySchema
from authserve.audit.status import find_shared_address
from authserve.http.authentication import (
    current_actor,
    login_required,
    require_permission,
)
from authserve.http.callers import ACCOUNT_SCOPE
from authserve.http.openapi import Blueprint, open_to_scope
from authserve.http.pagination import MomentPageQuerySchema, make_page
from authserve.http.request_info import find_address
from authserve.rbac.policy import Permission

blueprint = Blueprint(
    "audit", __name__, url_prefix="/api/v1", description="What happened, and who did it."
)


@blueprint.get("/audit-events")
@require_permission(Permission.AUDIT_READ)
@blueprint.arguments(EventQuerySchema, location="query")
@blueprint.response(200, AuditEventPageSchema)
def list_events(query: dict[str, Any]) -> dict[str, Any]:
    """List events, newest first."""
    filters = EventFilters(
        action=query.get("action"),
        actor_id=query.get("actor_id"),
        subject_id=query.get("subject_id"),
        correlation_id=query.get("correlation_id"),
        after=query.get("after"),
        before=query.get("before"),
    )
    limit = query["limit"]
    return _page_document(
        find_events(filters, limit=limit + 1, before=query["cursor"]), limit=limit
    )


@blueprint.get("/users/me/events")
@login_required
@open_to_scope(ACCOUNT_SCOPE)
@blueprint.arguments(MomentPageQuerySchema, location="query")
@blueprint.response(200, AuditEventPageSchema)
def list_own_events(query: dict[str, Any]) -> dict[str, Any]:
    """List what happened to the caller's account and what the caller did, newest first."""
    limit, cursor = query["limit"], query["cursor"]
    found = find_own_events(
        current_actor().signed_in_user, limit=limit + 1, before=cursor and cursor[1]
    )
    return _page_document(found, limit=limit)


@blueprint.get("/client-address")
@require_permission(Permission.AUDIT_READ)
@blueprint.response(200, ClientAddressSchema)
def read_client_address() -> dict[str, Any]:
    """Show the client address that the service sees for this request, and the rule it used."""
    shared = find_shared_address()
    return {**asdict(find_address()), "warning": shared.warning if shared else None}


def _page_document(found: Sequence[RecordedEvent], *, limit: int) -> dict[str, Any]:
    page = make_page(found, limit=limit, key=position_of)
    return {"items": page.items, "next_cursor": page.next_cursor}
