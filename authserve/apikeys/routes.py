"""The calls about API keys: of their owners, of administrators, and of other services."""

from typing import Any
from uuid import UUID

from authserve.apikeys.create import NewKey, create_key
from authserve.apikeys.errors import APIKeyNotFoundError, TooManyKeysError
from authserve.apikeys.listing import find_keys
from authserve.apikeys.revoke import revoke_key, revoke_keys_of_user
from authserve.apikeys.schemas import (
    KeyPageSchema,
    NewKeyRequestSchema,
    NewKeySchema,
    VerifiedKeySchema,
    VerifyKeySchema,
    key_page_document,
    lifetime_of,
    new_key_document,
)
from authserve.apikeys.verify import verify_key
from authserve.core.errors import InsufficientPermissionsError, StepUpRequiredError
from authserve.http.authentication import (
    closed_to_api_keys,
    current_actor,
    fresh_login_required,
    login_required,
    require_permission,
)
from authserve.http.limits import limited
from authserve.http.openapi import Blueprint
from authserve.http.pagination import PageQuerySchema
from authserve.http.request_info import current_request_info
from authserve.ratelimit.policy import MAKE_API_KEY
from authserve.rbac.policy import Permission
from authserve.users.errors import EmailNotVerifiedError, UserNotFoundError
from authserve.users.lookup import get_user
from authserve.users.own_account import on_own_account

blueprint = Blueprint(
    "api_keys",
    __name__,
    url_prefix="/api/v1",
    description="Keys with which programs of a user call the API.",
)


@blueprint.get("/users/me/api-keys")
@login_required
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, KeyPageSchema)
def list_keys(query: dict[str, Any]) -> dict[str, Any]:
    """List the caller's API keys, newest first."""
    return _page_of(current_actor().signed_in_user.id, query)


@blueprint.post("/users/me/api-keys")
@fresh_login_required
@blueprint.arguments(NewKeyRequestSchema)
@blueprint.response(201, NewKeySchema)
@blueprint.refuses(
    TooManyKeysError, EmailNotVerifiedError, InsufficientPermissionsError, StepUpRequiredError
)
@limited(MAKE_API_KEY)
@on_own_account
def post_key(body: dict[str, Any]) -> dict[str, Any]:
    """Make an API key; its text is in this answer alone."""
    return new_key_document(_create(body))


def _create(body: dict[str, Any]) -> NewKey:
    return create_key(
        name=body["name"],
        scopes=body["scopes"],
        expires_in=lifetime_of(body),
        actor=current_actor(),
        request=current_request_info(),
    )


@blueprint.delete("/users/me/api-keys/<uuid:key_id>")
@login_required
@blueprint.response(204)
@blueprint.refuses(APIKeyNotFoundError)
def delete_key(key_id: UUID) -> None:
    """Revoke one of the caller's API keys."""
    actor = current_actor()
    revoke_key(actor.signed_in_user, key_id, actor=actor, request=current_request_info())


@blueprint.get("/users/<uuid:user_id>/api-keys")
@require_permission(Permission.SESSIONS_READ)
@closed_to_api_keys
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, KeyPageSchema)
@blueprint.refuses(UserNotFoundError)
def list_user_keys(query: dict[str, Any], user_id: UUID) -> dict[str, Any]:
    """List a user's API keys, newest first."""
    return _page_of(get_user(user_id).id, query)


@blueprint.delete("/users/<uuid:user_id>/api-keys")
@require_permission(Permission.SESSIONS_WRITE)
@closed_to_api_keys
@blueprint.response(204)
@blueprint.refuses(UserNotFoundError, InsufficientPermissionsError)
def delete_user_keys(user_id: UUID) -> None:
    """Revoke all API keys of a user."""
    revoke_keys_of_user(user_id, actor=current_actor(), request=current_request_info())


@blueprint.post("/api-keys/verify")
@require_permission(Permission.TOKENS_INTROSPECT)
@blueprint.arguments(VerifyKeySchema)
@blueprint.response(200, VerifiedKeySchema)
def verify(body: dict[str, Any]) -> dict[str, Any]:
    """Return what an API key may do now, for a service that got it from its own caller."""
    return verify_key(body["key"], scopes=body["scopes"])


def _page_of(user_id: UUID, query: dict[str, Any]) -> dict[str, Any]:
    limit = query["limit"]
    found = find_keys(user_id, limit=limit + 1, before=query["cursor"])
    return key_page_document(found, limit=limit)
