"""The routes of `/api/v1/auth` for the second step of a sign-in."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from authserve.auth.enrollment import enroll
from authserve.auth.enrollment_options import begin_enrollment
from authserve.auth.errors import ReusedCodeError, WrongCodeError
from authserve.auth.schemas import (
    EXAMPLE_TOKEN,
    EnrollmentOptionsSchema,
    NewFactorSchema,
    TokensSchema,
    VerificationSchema,
)
from authserve.auth.second_step import verify_second_step
from authserve.core.clock import now
from authserve.http.limits import limited
from authserve.http.openapi import Blueprint
from authserve.http.request_info import current_request_info
from authserve.mfa.errors import (
    FactorUnavailableError,
    InvalidPasskeyError,
    MfaTokenExpiredError,
    MfaTokenInvalidError,
    NoSetUpError,
    PasskeyTakenError,
)
from authserve.mfa.passkey_schemas import EnrollmentSchema, get_given_factor
from authserve.mfa.pending import find_device
from authserve.mfa.schemas import EXAMPLE_TOTP_CODE, get_given_proof
from authserve.ratelimit.errors import TooManyAttemptsError
from authserve.ratelimit.policy import SECOND_STEP
from authserve.settings.model import SETTINGS
from authserve.tokens.refresh import Tokens
from authserve.users.errors import AccountDisabledError

ViewT = TypeVar("ViewT", bound=Callable[..., Any])

blueprint = Blueprint(
    "second_step",
    __name__,
    url_prefix="/api/v1/auth/mfa",
    description="Completing a sign-in that needs two factors.",
)


def takes_mfa_token(view: ViewT) -> ViewT:
    """Pass the device that the `mfa_token` names to the view, so that limits count by it."""

    @wraps(view)
    def verified(body: dict[str, Any]) -> Any:
        device = find_device(body["mfa_token"], settings=SETTINGS.get(), now=now())
        return view({**body, "device": device})

    return cast(ViewT, verified)


@blueprint.post("/verify")
@blueprint.arguments(
    VerificationSchema, example={"mfa_token": EXAMPLE_TOKEN, "totp_code": EXAMPLE_TOTP_CODE}
)
@blueprint.response(200, TokensSchema)
@blueprint.refuses(
    MfaTokenInvalidError,
    MfaTokenExpiredError,
    WrongCodeError,
    ReusedCodeError,
    InvalidPasskeyError,
    AccountDisabledError,
    TooManyAttemptsError,
    FactorUnavailableError,
)
@takes_mfa_token
@limited(SECOND_STEP)
def post_verification(body: dict[str, Any]) -> Tokens:
    """Complete a sign-in with a second proof: a code, a recovery code, or a passkey."""
    return verify_second_step(
        body["mfa_token"], get_given_proof(body), request=current_request_info()
    )


@blueprint.post("/enroll/options")
@blueprint.arguments(EnrollmentOptionsSchema)
@blueprint.response(200, NewFactorSchema)
@blueprint.refuses(MfaTokenInvalidError, MfaTokenExpiredError, AccountDisabledError)
@takes_mfa_token
@limited(SECOND_STEP)
def post_enrollment_options(body: dict[str, Any]) -> dict[str, Any]:
    """Begin to set the account's first factor up, during a sign-in that needs one."""
    return begin_enrollment(body["mfa_token"], body["method"], request=current_request_info())


@blueprint.post("/enroll")
@blueprint.arguments(
    EnrollmentSchema,
    example={
        "mfa_token": EXAMPLE_TOKEN,
        "email_code": "01234567",
        "totp_code": EXAMPLE_TOTP_CODE,
    },
)
@blueprint.response(200, TokensSchema)
@blueprint.refuses(
    MfaTokenInvalidError,
    MfaTokenExpiredError,
    WrongCodeError,
    InvalidPasskeyError,
    AccountDisabledError,
    NoSetUpError,
    PasskeyTakenError,
    TooManyAttemptsError,
    FactorUnavailableError,
)
@takes_mfa_token
@limited(SECOND_STEP)
def post_enrollment(body: dict[str, Any]) -> Tokens:
    """Confirm the account's first factor, with the mailed code; this completes the sign-in."""
    return enroll(
        body["mfa_token"],
        get_given_factor(body),
        email_code=body.get("email_code"),
        name=body.get("name"),
        request=current_request_info(),
    )
