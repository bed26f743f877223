"""The routes of `/api/v1/auth` for passkeys; they exist only with `PASSKEY_RP_ID`."""

from typing import Any

from authserve.auth.factor_confirmation import confirm_passkey
from authserve.auth.known_devices import find_passkey_device
from authserve.auth.passkey_sign_in import (
    second_step_options,
    sign_in_with_passkey,
)
from authserve.auth.reauthenticate import reauthentication_options
from authserve.auth.schemas import (
    MfaTokenSchema,
    PasskeySignInSchema,
    TokensSchema,
    confirmed_factor_document,
)
from authserve.core.clock import now
from authserve.http.authentication import (
    current_actor,
    fresh_login_at_level_required,
    login_at_any_level_required,
)
from authserve.http.limits import limited, takes_device_token
from authserve.http.openapi import Blueprint
from authserve.http.request_info import current_request_info
from authserve.http.schemas import EmptyInputSchema
from authserve.mfa.challenges import SIGN_IN as SIGN_IN_USE
from authserve.mfa.credential_schemas import PasskeyOptionsSchema
from authserve.mfa.errors import (
    InvalidCodeError,
    InvalidPasskeyError,
    MfaOffError,
    MfaTokenExpiredError,
    MfaTokenInvalidError,
    PasskeyTakenError,
    TooManyPasskeysError,
    UnknownPasskeyError,
    WrongPasskeyError,
)
from authserve.mfa.passkey_options import EXPIRES_IN_SECS, request_options
from authserve.mfa.passkey_schemas import (
    AddedPasskeySchema,
    NewPasskeySchema,
    passkey_document,
)
from authserve.mfa.switch import level_for_change_by
from authserve.ratelimit.policy import PASSKEY_OPTIONS, REDEEM, SIGN_IN
from authserve.tokens.refresh import Tokens
from authserve.users.errors import (
    AccountDisabledError,
    EmailNotVerifiedError,
)
from authserve.users.own_account import on_own_account

blueprint = Blueprint(
    "passkey_sign_in", __name__, url_prefix="/api/v1/auth", description="Signing in with passkeys."
)


registration_blueprint = Blueprint(
    "passkey_registration",
    __name__,
    url_prefix="/api/v1/users/me",
    description="Registering passkeys, which can return tokens.",
)


@registration_blueprint.post("/passkeys")
@fresh_login_at_level_required(level_for_change_by)
@registration_blueprint.arguments(NewPasskeySchema)
@registration_blueprint.response(201, AddedPasskeySchema)
@registration_blueprint.refuses(
    WrongPasskeyError, InvalidCodeError, MfaOffError, PasskeyTakenError, TooManyPasskeysError
)
@limited(REDEEM)
@on_own_account
def post_own_passkey(body: dict[str, Any]) -> dict[str, Any]:
    """Register a passkey; the first factor brings recovery codes."""
    passkey, confirmed = confirm_passkey(
        body["credential"],
        name=body.get("name"),
        email_code=body.get("email_code"),
        actor=current_actor(),
        request=current_request_info(),
    )
    return {**passkey_document(passkey), **confirmed_factor_document(confirmed)}


@blueprint.post("/passkey/options")
@blueprint.arguments(EmptyInputSchema)
@blueprint.response(200, PasskeyOptionsSchema)
@limited(PASSKEY_OPTIONS)
def post_passkey_options(_body: dict[str, Any]) -> dict[str, Any]:
    """Return options to sign in with any passkey, for the browser's autofill or a button."""
    return _document(request_options(SIGN_IN_USE, now=now()))


@blueprint.post("/passkey")
@blueprint.arguments(PasskeySignInSchema)
@blueprint.response(200, TokensSchema)
@blueprint.refuses(
    UnknownPasskeyError, InvalidPasskeyError, AccountDisabledError, EmailNotVerifiedError
)
@takes_device_token(lambda token, body: find_passkey_device(token, body["credential"]))
@limited(SIGN_IN)
def post_passkey(body: dict[str, Any]) -> Tokens:
    """Sign in with a passkey: two factors by itself, so nothing else is asked."""
    return sign_in_with_passkey(
        body["credential"], device=body["device"], request=current_request_info()
    )


@blueprint.post("/mfa/passkey-options")
@blueprint.arguments(MfaTokenSchema)
@blueprint.response(200, PasskeyOptionsSchema)
@blueprint.refuses(MfaTokenInvalidError, MfaTokenExpiredError, AccountDisabledError)
@limited(PASSKEY_OPTIONS)
def post_second_step_options(body: dict[str, Any]) -> dict[str, Any]:
    """Return options to complete a sign-in with a passkey of its account."""
    return _document(second_step_options(body["mfa_token"], request=current_request_info()))


@blueprint.post("/reauthenticate/passkey-options")
@login_at_any_level_required
@blueprint.arguments(EmptyInputSchema)
@blueprint.response(200, PasskeyOptionsSchema)
@limited(PASSKEY_OPTIONS)
def post_reauthentication_options(_body: dict[str, Any]) -> dict[str, Any]:
    """Return options to reauthenticate with one of the caller's passkeys."""
    return _document(reauthentication_options(current_actor()))


def _document(options: dict[str, Any]) -> dict[str, Any]:
    return {"public_key": options, "expires_in": EXPIRES_IN_SECS}
