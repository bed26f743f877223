"""API routes of the caller's own second factors, without those that return tokens."""

from dataclasses import asdict
from typing import Any

from authserve.core.clock import now
from authserve.http.authentication import (
    current_actor,
    current_authentication,
    fresh_login_at_level_required,
    login_at_any_level_required,
    login_required,
)
from authserve.http.callers import Authentication
from authserve.http.limits import limited
from authserve.http.openapi import Blueprint
from authserve.http.request_info import current_request_info
from authserve.mfa.code_renewal import ANY_CODES, renew_recovery_codes
from authserve.mfa.errors import (
    FactorNotFoundError,
    MfaOffError,
    MfaRequiredByPolicyError,
    NoFactorError,
)
from authserve.mfa.factors import find_mfa_state
from authserve.mfa.recovery_codes import CodeSet, find_code_set
from authserve.mfa.schemas import (
    MfaStateSchema,
    MfaSwitchSchema,
    NoBodySchema,
    RecoveryCodeSetSchema,
    RecoveryCodesSchema,
    RenewalSchema,
    TotpSetUpSchema,
)
from authserve.mfa.switch import level_for_change_by, set_mfa
from authserve.mfa.totp_set_up import SetUp, remove_totp, set_up_totp
from authserve.ratelimit.policy import SET_UP_FACTOR
from authserve.users.errors import ChangedMeanwhileError
from authserve.users.own_account import on_own_account

blueprint = Blueprint(
    "mfa", __name__, url_prefix="/api/v1/users/me", description="The caller's second factors."
)


@blueprint.get("/mfa")
@login_at_any_level_required
@blueprint.response(200, MfaStateSchema)
def get_mfa() -> dict[str, Any]:
    """Show the caller's second factors."""
    caller = current_authentication()
    return _state_document(caller, is_enabled=caller.account.mfa_enabled)


@blueprint.put("/mfa")
@login_required
@fresh_login_at_level_required(level_for_change_by)
@blueprint.arguments(MfaSwitchSchema)
@blueprint.response(200, MfaStateSchema)
@blueprint.refuses(NoFactorError, MfaRequiredByPolicyError)
@on_own_account
def put_mfa(body: dict[str, Any]) -> dict[str, Any]:
    """Switch the caller's second factor on or off; every other session ends."""
    caller, is_enabled = current_authentication(), body["enabled"]
    codes = set_mfa(
        caller.actor.signed_in_user,
        is_enabled=is_enabled,
        actor=caller.actor,
        request=current_request_info(),
    )
    state = _state_document(caller, is_enabled=is_enabled)
    return state if codes is None else {**state, "recovery_codes": codes}


def _state_document(caller: Authentication, *, is_enabled: bool) -> dict[str, Any]:
    actor = caller.actor
    state = find_mfa_state(actor.signed_in_user.id, mfa_enabled=is_enabled, now=now())
    sleeping = sorted({*caller.account.roles} - {*actor.roles})
    return {**asdict(state), "sleeping_roles": sleeping}


@blueprint.post("/mfa/totp")
@fresh_login_at_level_required(level_for_change_by)
@blueprint.arguments(NoBodySchema, required=False)
@blueprint.response(201, TotpSetUpSchema)
@blueprint.refuses(MfaOffError)
@limited(SET_UP_FACTOR)
@on_own_account
def post_totp(_body: dict[str, Any]) -> SetUp:
    """Begin to set an authenticator app up; the caller's first factor needs a mailed code too."""
    caller = current_authentication()
    return set_up_totp(
        caller.actor.signed_in_user,
        amr=caller.claims["amr"],
        actor=caller.actor,
        request=current_request_info(),
    )


@blueprint.delete("/mfa/totp")
@login_required
@fresh_login_at_level_required(level_for_change_by)
@blueprint.response(204)
@blueprint.refuses(FactorNotFoundError, MfaRequiredByPolicyError)
@on_own_account
def delete_totp() -> None:
    """Remove the caller's authenticator app; every other session ends."""
    actor = current_actor()
    remove_totp(actor.signed_in_user, actor=actor, request=current_request_info())


@blueprint.get("/recovery-codes")
@login_required
@blueprint.response(200, RecoveryCodeSetSchema)
def get_recovery_codes() -> CodeSet:
    """Show how many recovery codes the caller has left."""
    return find_code_set(current_actor().signed_in_user.id)


@blueprint.post("/recovery-codes")
@login_required
@fresh_login_at_level_required(level_for_change_by)
@blueprint.arguments(RenewalSchema, required=False)
@blueprint.response(201, RecoveryCodesSchema)
@blueprint.refuses(NoFactorError, ChangedMeanwhileError)
@on_own_account
def post_recovery_codes(body: dict[str, Any]) -> dict[str, Any]:
    """Make new recovery codes; the former ones are void."""
    actor = current_actor()
    codes = renew_recovery_codes(
        actor.signed_in_user,
        replaces=body.get("replaces", ANY_CODES),
        actor=actor,
        request=current_request_info(),
    )
    return {"codes": codes}
