"""The API of the audit trail."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from authserve.audit.client_addresses import find_shared_address
from authserve.audit.listing import (
    EventFilters,
    RecordedEvent,
    find_events,
    find_own_events,
    position_of,
)
from authserve.audit.schemas import AuditEventPageSchema, ClientAddressSchema, EventQuerySchema
from authserve.http.authentication import current_actor, login_required, require_permission
from authserve.http.openapi import Blueprint
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
    limit, cursor = query.pop("limit"), query.pop("cursor")
    return _page(EventFilters(**query), limit=limit, cursor=cursor)


@blueprint.get("/users/me/events")
@login_required
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


def _page(filters: EventFilters, *, limit: int, cursor: Any) -> dict[str, Any]:
    found = find_events(filters, limit=limit + 1, before=cursor)
    return _page_document(found, limit=limit)


def _page_document(found: Sequence[RecordedEvent], *, limit: int) -> dict[str, Any]:
    page = make_page(found, limit=limit, key=position_of)
    return {"items": page.items, "next_cursor": page.next_cursor}
