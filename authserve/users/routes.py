"""The users blueprint: the caller's own account."""

from typing import Any

from flask import Response

from authserve.http.authentication import current_actor, current_authentication, login_required
from authserve.http.openapi import Blueprint
from authserve.http.request_info import current_request_info
from authserve.http.responses import json_response
from authserve.http.schemas import UserSchema, user_document
from authserve.users.errors import UsernameTakenError
from authserve.users.schemas import ProfileSchema
from authserve.users.service import update_profile

blueprint = Blueprint(
    "users", __name__, url_prefix="/api/v1/users", description="Accounts and their owners."
)


@blueprint.get("/me")
@blueprint.response(200, UserSchema)
@login_required
def get_me() -> Response:
    """The caller's account."""
    # The token check has read all of it: the most frequent call costs one statement.
    caller = current_authentication()
    return json_response(user_document(caller.account, caller.actor.roles))


@blueprint.patch("/me")
@login_required
@blueprint.arguments(ProfileSchema)
@blueprint.response(200, UserSchema)
@blueprint.refuses(UsernameTakenError)
def patch_me(body: dict[str, Any]) -> Response:
    """Change the caller's username or display name."""
    actor = current_actor()
    user = update_profile(actor.signed_in_user, body, actor=actor, request=current_request_info())
    return json_response(user_document(user, actor.roles))
