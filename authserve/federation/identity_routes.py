"""The calls about the identities of users at other providers: one's own, and for administrators.

They are linked in a browser, on `/account/apps`: only there can a person go to the provider.
"""

from typing import Any
from uuid import UUID

from authserve.federation.errors import IdentityNotFoundError
from authserve.federation.identity_schemas import IdentityPageSchema, identity_page_document
from authserve.federation.own_identities import find_own_identities, unlink_identity
from authserve.http.authentication import (
    current_actor,
    fresh_login_at_level_required,
    login_required,
    require_permission,
)
from authserve.http.openapi import Blueprint
from authserve.http.pagination import PageQuerySchema
from authserve.http.request_info import current_request_info
from authserve.mfa.errors import LastCredentialError
from authserve.mfa.switch import level_for_change_by
from authserve.rbac.policy import Permission
from authserve.users.errors import UserNotFoundError
from authserve.users.lookup import get_user
from authserve.users.own_account import on_own_account

blueprint = Blueprint(
    "identities",
    __name__,
    url_prefix="/api/v1/users",
    description="Identities of users at other providers.",
)


@blueprint.get("/me/identities")
@login_required
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, IdentityPageSchema)
def list_identities(query: dict[str, Any]) -> dict[str, Any]:
    """List the caller's identities at other providers, newest first."""
    return _page_of(current_actor().signed_in_user.id, query)


@blueprint.delete("/me/identities/<uuid:identity_id>")
@login_required
@fresh_login_at_level_required(level_for_change_by)
@blueprint.response(204)
@blueprint.refuses(IdentityNotFoundError, LastCredentialError)
@on_own_account
def delete_identity(identity_id: UUID) -> None:
    """Unlink an identity; every other session ends."""
    actor = current_actor()
    unlink_identity(actor.signed_in_user, identity_id, actor=actor, request=current_request_info())


@blueprint.get("/<uuid:user_id>/identities")
@require_permission(Permission.USERS_READ)
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, IdentityPageSchema)
@blueprint.refuses(UserNotFoundError)
def list_user_identities(query: dict[str, Any], user_id: UUID) -> dict[str, Any]:
    """List a user's identities at other providers, newest first."""
    return _page_of(get_user(user_id).id, query)


def _page_of(user_id: UUID, query: dict[str, Any]) -> dict[str, Any]:
    limit = query["limit"]
    found = find_own_identities(user_id, limit=limit + 1, before=query["cursor"])
    return identity_page_document(found, limit=limit)
