"""The routes of `/api/v1/users/me/passkeys`, without the one that registers and returns tokens.

They exist only with `PASSKEY_RP_ID`.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from authserve.http.authentication import (
    current_actor,
    current_authentication,
    fresh_login_at_level_required,
    login_required,
)
from authserve.http.limits import limited
from authserve.http.openapi import Blueprint
from authserve.http.pagination import PageQuerySchema
from authserve.http.request_info import current_request_info
from authserve.http.schemas import EmptyInputSchema
from authserve.mfa.errors import (
    FactorNotFoundError,
    LastCredentialError,
    MfaOffError,
    MfaRequiredByPolicyError,
)
from authserve.mfa.own_passkeys import (
    begin_registration,
    change_passkey,
    find_passkeys,
    remove_passkey,
)
from authserve.mfa.passkey_options import EXPIRES_IN_SECS
from authserve.mfa.passkey_schemas import (
    NewPasskeyOptionsSchema,
    PasskeyChangesSchema,
    PasskeyPageSchema,
    PasskeySchema,
    passkey_document,
    passkey_page_document,
)
from authserve.mfa.switch import level_for_change_by
from authserve.ratelimit.policy import SET_UP_FACTOR
from authserve.users.own_account import on_own_account

blueprint = Blueprint(
    "passkeys",
    __name__,
    url_prefix="/api/v1/users/me/passkeys",
    description="The caller's passkeys.",
)


@blueprint.get("")
@login_required
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, PasskeyPageSchema)
def list_passkeys(query: dict[str, Any]) -> Mapping[str, Any]:
    """List the caller's passkeys, newest first."""
    limit = query["limit"]
    user = current_actor().signed_in_user
    found = find_passkeys(user.id, limit=limit + 1, before=query["cursor"])
    return passkey_page_document(found, limit=limit)


@blueprint.post("/options")
@fresh_login_at_level_required(level_for_change_by)
@blueprint.arguments(EmptyInputSchema)
@blueprint.response(200, NewPasskeyOptionsSchema)
@blueprint.refuses(MfaOffError)
@limited(SET_UP_FACTOR)
@on_own_account
def post_options(_body: dict[str, Any]) -> dict[str, Any]:
    """Return options to make a passkey; the caller's first factor needs a mailed code too."""
    caller = current_authentication()
    options, is_code_required = begin_registration(
        caller.actor.signed_in_user,
        display_name=caller.account.display_name,
        actor=caller.actor,
        request=current_request_info(),
    )
    return {
        "public_key": options,
        "expires_in": EXPIRES_IN_SECS,
        "email_code_required": is_code_required,
    }


@blueprint.patch("/<uuid:passkey_id>")
@login_required
@fresh_login_at_level_required(level_for_change_by)
@blueprint.arguments(PasskeyChangesSchema)
@blueprint.response(200, PasskeySchema)
@blueprint.refuses(FactorNotFoundError)
@on_own_account
def patch_passkey(body: dict[str, Any], passkey_id: UUID) -> dict[str, Any]:
    """Rename a passkey, or accept one that is suspected to be a clone."""
    actor = current_actor()
    changed = change_passkey(
        actor.signed_in_user,
        passkey_id,
        name=body.get("name"),
        is_no_clone="clone_suspected" in body,
        actor=actor,
        request=current_request_info(),
    )
    return passkey_document(changed)


@blueprint.delete("/<uuid:passkey_id>")
@login_required
@fresh_login_at_level_required(level_for_change_by)
@blueprint.response(204)
@blueprint.refuses(FactorNotFoundError, LastCredentialError, MfaRequiredByPolicyError)
@on_own_account
def delete_passkey(passkey_id: UUID) -> None:
    """Delete a passkey; every other session ends."""
    actor = current_actor()
    remove_passkey(actor.signed_in_user, passkey_id, actor=actor, request=current_request_info())
