"""API routes of the caller's own account."""

from typing import Any

from flask import Response

from authserve.http.authentication import (
    current_actor,
    current_authentication,
    fresh_login_required,
    login_at_any_level_required,
    login_required,
)
from authserve.http.callers import ACCOUNT_SCOPE
from authserve.http.limits import limited
from authserve.http.openapi import Blueprint, open_to_scope
from authserve.http.request_info import current_request_info
from authserve.http.schemas import UserSchema, json_response, user_document
from authserve.passwords.queue import HasherBusyError
from authserve.ratelimit.errors import TooManyAttemptsError
from authserve.ratelimit.policy import CHANGE_PASSWORD, CHANGE_PROFILE, PASSWORDS
from authserve.users.accounts import ProfileChanges, delete_user, update_profile
from authserve.users.errors import (
    LastAdminError,
    UsernameTakenError,
    WrongPasswordError,
)
from authserve.users.own_account import on_own_account
from authserve.users.password_changes import change_password
from authserve.users.schemas import PasswordChangeSchema, ProfileSchema

blueprint = Blueprint(
    "users", __name__, url_prefix="/api/v1/users", description="Accounts and their owners."
)


@blueprint.get("/me")
@blueprint.response(200, UserSchema)
@login_at_any_level_required
@open_to_scope(ACCOUNT_SCOPE)
def get_me() -> Response:
    """Show the caller's account."""
    # The token check has read the account, so this most frequent call costs one statement.
    account = current_authentication().account
    return json_response(user_document(account, account.roles))


@blueprint.patch("/me")
@login_required
@open_to_scope(ACCOUNT_SCOPE)
@blueprint.arguments(ProfileSchema)
@blueprint.response(200, UserSchema)
@blueprint.refuses(UsernameTakenError)
@limited(CHANGE_PROFILE)
@on_own_account
def patch_me(body: ProfileChanges) -> Response:
    """Change the caller's username, display name or language."""
    caller = current_authentication()
    user = update_profile(
        caller.actor.signed_in_user, body, actor=caller.actor, request=current_request_info()
    )
    return json_response(user_document(user, caller.account.roles))


@blueprint.put("/me/password")
@login_required
@blueprint.arguments(PasswordChangeSchema)
@blueprint.response(204)
@blueprint.refuses(WrongPasswordError, TooManyAttemptsError, HasherBusyError)
@limited(CHANGE_PASSWORD, PASSWORDS)
@on_own_account
def put_password(body: dict[str, Any]) -> None:
    """Replace the caller's password; every other session ends."""
    actor = current_actor()
    change_password(
        actor.signed_in_user,
        current_password=body["current_password"],
        new_password=body["new_password"],
        actor=actor,
        request=current_request_info(),
    )


@blueprint.delete("/me")
@fresh_login_required
@blueprint.response(204)
@blueprint.refuses(LastAdminError)
@on_own_account
def delete_me() -> None:
    """Delete the caller's account and its sessions permanently."""
    actor = current_actor()
    delete_user(actor.signed_in_user, actor=actor, request=current_request_info())
