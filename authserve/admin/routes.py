"""The API for administering other users' accounts."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Response, stream_with_context

from authserve.admin.administration import (
    AccountChanges,
    UserWithRoles,
    change_account,
    change_roles,
    end_all_sessions,
    invite_again,
    invite_user,
    remove_user,
    trigger_password_reset,
    with_roles,
)
from authserve.admin.personal_data import export_personal_data
from authserve.admin.schemas import (
    AccountChangeSchema,
    InvitationRequestSchema,
    MfaResetSchema,
    PersonalDataSchema,
    RolesSchema,
    SignInStatusSchema,
    UserFactorsSchema,
    UserPageSchema,
    UserQuerySchema,
    sign_in_status_document,
    user_factors_document,
)
from authserve.admin.sign_in_support import factors_of, sign_in_status
from authserve.core.errors import InsufficientPermissionsError
from authserve.http.authentication import (
    current_actor,
    fresh_login_required,
    fresh_login_required_where,
    fresh_token_required,
    require_permission,
)
from authserve.http.limits import limited
from authserve.http.openapi import Blueprint
from authserve.http.pagination import Page, PageQuerySchema, encode_cursor, make_page
from authserve.http.request_info import current_request_info
from authserve.http.schemas import EmptySchema, UserSchema, json_response, user_document
from authserve.mfa.reset import request_reset
from authserve.ratelimit.policy import ADMIN_MAIL, EXPORT
from authserve.rbac.assignment import holders_of, roles_of_many
from authserve.rbac.errors import RoleNotFoundError
from authserve.rbac.policy import USER_ROLE, Permission
from authserve.sessions.listing import find_live_sessions
from authserve.sessions.schemas import SessionPageSchema, session_page_document
from authserve.users.accounts import NewUser
from authserve.users.errors import (
    AlreadyActiveError,
    ChangedMeanwhileError,
    EmailTakenError,
    LastAdminError,
    OwnAccountError,
    UsernameTakenError,
    UserNotFoundError,
)
from authserve.users.lists import UserFilters, position_in, search_users
from authserve.users.lookup import get_user
from authserve.users.own_account import on_own_account
from authserve.users.search import find_by_beginning

blueprint = Blueprint(
    "admin", __name__, url_prefix="/api/v1/users", description="Other people's accounts."
)


@blueprint.get("")
@require_permission(Permission.USERS_READ)
@blueprint.arguments(UserQuerySchema, location="query")
@blueprint.response(200, UserPageSchema)
def list_users(query: dict[str, Any]) -> Response:
    """List accounts: newest first, or those that begin with `q`, or by time of change."""
    page = _find_page(query)
    roles = roles_of_many([user.id for user in page.items])
    items = [user_document(user, roles[user.id]) for user in page.items]
    return json_response({"items": items, "next_cursor": page.next_cursor})


def _find_page(query: dict[str, Any]) -> Page:
    filters = UserFilters(
        domain=query.get("domain"),
        is_active=query.get("is_active"),
        mfa_enabled=query.get("mfa_enabled"),
        ids=holders_of(query["role"]) if "role" in query else None,
        created_after=query.get("created_after"),
        created_before=query.get("created_before"),
        updated_after=query.get("updated_after"),
    )
    limit, cursor = query["limit"], query["cursor"]
    if "beginning" not in query:
        found = search_users(filters, limit=limit + 1, after=cursor)
        return make_page(found, limit=limit, key=position_in(filters))
    matches = find_by_beginning(query["beginning"], filters, limit=limit, after=cursor)
    return Page(matches.users, encode_cursor(matches.last) if matches.last else None)


def _grants_roles(invitation: Mapping[str, Any]) -> bool:
    return not {USER_ROLE}.issuperset(invitation["roles"])


@blueprint.post("")
@require_permission(Permission.USERS_WRITE)
@blueprint.arguments(InvitationRequestSchema)
@blueprint.response(201, UserSchema)
@blueprint.refuses(EmailTakenError, UsernameTakenError, RoleNotFoundError)
@fresh_login_required_where(_grants_roles)
@limited(ADMIN_MAIL)
def post_user(body: dict[str, Any]) -> Response:
    """Create an account and mail its owner a link to choose a password.

    To grant roles other than `user`, the access token must be fresh.
    """
    new = NewUser(
        email=body["email"],
        username=body.get("username"),
        display_name=body.get("display_name"),
    )
    made = invite_user(
        new, roles=body["roles"], actor=current_actor(), request=current_request_info()
    )
    return _user_response(made, 201)


@blueprint.get("/me/export")
@fresh_login_required
@blueprint.response(200, PersonalDataSchema)
@on_own_account
@limited(EXPORT)
def export_me() -> Response:
    """Export all data held on the caller; the answer is streamed."""
    pieces = export_personal_data(current_actor().signed_in_user.id)
    return Response(stream_with_context(pieces), mimetype="application/json")


@blueprint.get("/<uuid:user_id>")
@require_permission(Permission.USERS_READ)
@blueprint.response(200, UserSchema)
@blueprint.refuses(UserNotFoundError)
def read_user(user_id: UUID) -> Response:
    """Show an account."""
    return _user_response(with_roles(get_user(user_id)))


def _changes_address(changes: Mapping[str, Any]) -> bool:
    return not {"email", "email_verified"}.isdisjoint(changes)


@blueprint.patch("/<uuid:user_id>")
@require_permission(Permission.USERS_WRITE)
@blueprint.arguments(AccountChangeSchema)
@blueprint.response(200, UserSchema)
@blueprint.refuses(
    UserNotFoundError,
    EmailTakenError,
    UsernameTakenError,
    LastAdminError,
    OwnAccountError,
    ChangedMeanwhileError,
)
@fresh_login_required_where(_changes_address)
def patch_user(body: AccountChanges, user_id: UUID) -> Response:
    """Change an account; deactivation ends its sessions.

    To change the address or its verification, the access token must be fresh.
    """
    changed = change_account(user_id, body, actor=current_actor(), request=current_request_info())
    return _user_response(changed)


@blueprint.delete("/<uuid:user_id>")
@require_permission(Permission.USERS_WRITE)
@fresh_token_required
@blueprint.response(204)
@blueprint.refuses(UserNotFoundError, LastAdminError, OwnAccountError)
def delete_user(user_id: UUID) -> None:
    """Delete an account and its sessions permanently."""
    remove_user(user_id, actor=current_actor(), request=current_request_info())


@blueprint.post("/<uuid:user_id>/invitation")
@require_permission(Permission.USERS_WRITE)
@blueprint.response(202, EmptySchema)
@blueprint.refuses(UserNotFoundError, AlreadyActiveError)
@limited(ADMIN_MAIL)
def post_invitation(user_id: UUID) -> dict[str, Any]:
    """Send an invitation again; the previous link stops working."""
    invite_again(user_id, actor=current_actor(), request=current_request_info())
    return {}


@blueprint.put("/<uuid:user_id>/roles")
@require_permission(Permission.ROLES_WRITE)
@fresh_token_required
@blueprint.arguments(RolesSchema)
@blueprint.response(200, UserSchema)
@blueprint.refuses(UserNotFoundError, RoleNotFoundError, LastAdminError, ChangedMeanwhileError)
def put_roles(body: dict[str, Any], user_id: UUID) -> Response:
    """Replace a user's roles; none may have a permission that the caller lacks."""
    changed = change_roles(
        user_id,
        body["roles"],
        expected_updated_at=body.get("expected_updated_at"),
        actor=current_actor(),
        request=current_request_info(),
    )
    return _user_response(changed)


@blueprint.get("/<uuid:user_id>/sessions")
@require_permission(Permission.SESSIONS_READ)
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, SessionPageSchema)
@blueprint.refuses(UserNotFoundError)
def list_user_sessions(query: dict[str, Any], user_id: UUID) -> dict[str, Any]:
    """List a user's live sessions, newest first."""
    get_user(user_id)
    limit = query["limit"]
    found = find_live_sessions(user_id, limit=limit + 1, before=query["cursor"])
    return session_page_document(found, limit=limit, current_id=current_actor().session_id)


@blueprint.delete("/<uuid:user_id>/sessions")
@require_permission(Permission.SESSIONS_WRITE)
@blueprint.response(204)
@blueprint.refuses(UserNotFoundError)
def delete_user_sessions(user_id: UUID) -> None:
    """End all sessions of a user."""
    end_all_sessions(user_id, actor=current_actor(), request=current_request_info())


@blueprint.get("/<uuid:user_id>/sign-in-status")
@require_permission(Permission.USERS_READ)
@blueprint.response(200, SignInStatusSchema)
@blueprint.refuses(UserNotFoundError)
def read_sign_in_status(user_id: UUID) -> dict[str, Any]:
    """Explain why this user can or cannot sign in."""
    return sign_in_status_document(sign_in_status(user_id))


@blueprint.post("/<uuid:user_id>/password-reset")
@require_permission(Permission.USERS_WRITE)
@fresh_token_required
@blueprint.response(202, EmptySchema)
@blueprint.refuses(UserNotFoundError, InsufficientPermissionsError)
@limited(ADMIN_MAIL)
def post_password_reset(user_id: UUID) -> dict[str, Any]:
    """Mail a user a reset link and end every session; the caller never sees the link."""
    trigger_password_reset(user_id, actor=current_actor(), request=current_request_info())
    return {}


@blueprint.get("/<uuid:user_id>/factors")
@require_permission(Permission.USERS_READ)
@blueprint.response(200, UserFactorsSchema)
@blueprint.refuses(UserNotFoundError)
def read_factors(user_id: UUID) -> dict[str, Any]:
    """Show a user's second factors, without secrets."""
    return user_factors_document(factors_of(user_id))


@blueprint.post("/<uuid:user_id>/mfa-reset")
@require_permission(Permission.USERS_WRITE)
@fresh_token_required
@blueprint.response(202, MfaResetSchema)
@blueprint.refuses(UserNotFoundError, InsufficientPermissionsError, OwnAccountError)
@limited(ADMIN_MAIL)
def post_mfa_reset(user_id: UUID) -> dict[str, Any]:
    """Remove a user's second factors and recovery codes, at once or after `MFA_RESET_DELAY`.

    The account needs a second factor as before, so its next sign-in sets up a new one. Until the
    reset takes effect, any second factor of the account cancels it.
    """
    requested = request_reset(user_id, actor=current_actor(), request=current_request_info())
    return {"effective_at": requested.effective_at}


def _user_response(found: UserWithRoles, status: int = 200) -> Response:
    return json_response(user_document(found.user, found.roles), status)
