"""The routes of `/api/v1/auth` for passkeys; they exist only with `PASSKEY_RP_ID`."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from authserve.auth.passkey_sign_in import find_passkey_device, sign_in_with_passkey
from authserve.auth.schemas import PasskeySignInSchema, TokensSchema
from authserve.core.clock import now
from authserve.http.limits import limited
from authserve.http.openapi import Blueprint
from authserve.http.request_info import current_request_info
from authserve.http.schemas import EmptyInputSchema
from authserve.mfa.challenges import SIGN_IN as SIGN_IN_USE
from authserve.mfa.errors import InvalidPasskeyError, UnknownPasskeyError
from authserve.mfa.passkey_options import EXPIRES_IN_SECS, request_options
from authserve.mfa.schemas import PasskeyOptionsSchema
from authserve.ratelimit.policy import PASSKEY_OPTIONS, SIGN_IN
from authserve.tokens.refresh import Tokens
from authserve.users.errors import AccountDisabledError, EmailNotVerifiedError

ViewT = TypeVar("ViewT", bound=Callable[..., Any])

blueprint = Blueprint(
    "passkey_sign_in", __name__, url_prefix="/api/v1/auth", description="Signing in with passkeys."
)


def takes_passkey_device(view: ViewT) -> ViewT:
    """Verify the device token, and pass its device if the account of the passkey knows it."""

    @wraps(view)
    def verified(body: dict[str, Any]) -> Any:
        token, device = body.get("device_token"), None
        if token is not None:
            device = find_passkey_device(token, body["credential"])
        return view({**body, "device": device})

    return cast(ViewT, verified)


@blueprint.post("/passkey/options")
@blueprint.arguments(EmptyInputSchema)
@blueprint.response(200, PasskeyOptionsSchema)
@limited(PASSKEY_OPTIONS)
def post_passkey_options(_body: dict[str, Any]) -> dict[str, Any]:
    """Return options to sign in with any passkey, for the browser's autofill or a button."""
    return {
        "public_key": request_options(SIGN_IN_USE, now=now()),
        "expires_in": EXPIRES_IN_SECS,
    }


@blueprint.post("/passkey")
@blueprint.arguments(PasskeySignInSchema)
@blueprint.response(200, TokensSchema)
@blueprint.refuses(
    UnknownPasskeyError, InvalidPasskeyError, AccountDisabledError, EmailNotVerifiedError
)
@takes_passkey_device
@limited(SIGN_IN)
def post_passkey(body: dict[str, Any]) -> Tokens:
    """Sign in with a passkey: two factors by itself, so nothing else is asked."""
    return sign_in_with_passkey(
        body["credential"], device=body["device"], request=current_request_info()
    )
