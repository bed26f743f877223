"""API routes of the apps that the caller has allowed or is signed in to."""

from typing import Any

from authserve.http.authentication import current_actor, login_required
from authserve.http.openapi import Blueprint
from authserve.http.request_info import current_request_info
from authserve.oidc.app_schemas import AuthorizedAppListSchema, app_document
from authserve.oidc.apps import list_apps, withdraw_app
from authserve.oidc.errors import AppNotFoundError
from authserve.users.own_account import on_own_account

blueprint = Blueprint(
    "apps",
    __name__,
    url_prefix="/api/v1/users/me/apps",
    description="The apps that can use the caller's account.",
)


@blueprint.get("")
@login_required
@blueprint.response(200, AuthorizedAppListSchema)
def list_own_apps() -> dict[str, Any]:
    """List the apps that the caller has allowed or is signed in to, sorted by name."""
    apps = list_apps(current_actor().signed_in_user.id)
    return {"items": [app_document(app) for app in apps]}


@blueprint.delete("/<client_id>")
@login_required
@blueprint.response(204)
@blueprint.refuses(AppNotFoundError)
@on_own_account
def delete_own_app(client_id: str) -> None:
    """End the access of an app: the caller's consent, and the app's sessions."""
    actor = current_actor()
    withdraw_app(actor.signed_in_user, client_id, actor=actor, request=current_request_info())
