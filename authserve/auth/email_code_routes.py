"""The routes of `/api/v1/auth` for mailed codes; they exist only with `EMAIL_SIGN_IN=on`."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from authserve.auth.email_sign_in import (
    find_requester,
    request_email_code,
    sign_in_with_email_code,
)
from authserve.auth.errors import WrongCodeError
from authserve.auth.known_devices import find_device_of_mailbox, find_requesters_device
from authserve.auth.schemas import (
    EmailCodeSchema,
    EmailCodeSignInSchema,
    SignInTokenSchema,
    TokensSchema,
)
from authserve.http.limits import limited, noting_limits, takes_device_token
from authserve.http.openapi import Blueprint
from authserve.http.request_info import current_request_info
from authserve.mfa.errors import MfaEnrollmentRequiredError
from authserve.ratelimit.errors import TooManyAttemptsError
from authserve.ratelimit.policy import (
    EMAIL_CODE,
    EMAIL_CODE_MAILS_A_MINUTE,
    EMAIL_CODE_MAILS_AN_HOUR,
    SIGN_IN,
)
from authserve.tokens.refresh import Tokens

ViewT = TypeVar("ViewT", bound=Callable[..., Any])

blueprint = Blueprint(
    "email_sign_in",
    __name__,
    url_prefix="/api/v1/auth",
    description="Signing in with mailed codes.",
)


def takes_requester(view: ViewT) -> ViewT:
    """Verify the `sign_in_token`, and pass its request to the view."""

    @wraps(view)
    def verified(body: dict[str, Any]) -> Any:
        return view({**body, "requester": find_requester(body["sign_in_token"])})

    return cast(ViewT, verified)


@blueprint.post("/email-code")
@blueprint.arguments(EmailCodeSchema)
@blueprint.response(202, SignInTokenSchema)
@takes_device_token(lambda token, body: find_device_of_mailbox(token, email=body["email"]))
@limited(EMAIL_CODE)
@noting_limits(EMAIL_CODE_MAILS_A_MINUTE, EMAIL_CODE_MAILS_AN_HOUR)
def post_email_code(body: dict[str, Any]) -> dict[str, Any]:
    """Mail a code to sign in, if an account has the address; the answer is always 202."""
    token, lifetime = request_email_code(
        body["email"],
        device=body["device"],
        is_mail_allowed=not body["is_over_limit"],
        request=current_request_info(),
    )
    return {"sign_in_token": token, "expires_in": int(lifetime.total_seconds())}


@blueprint.post("/email-code/verify")
@blueprint.arguments(EmailCodeSignInSchema)
@blueprint.response(200, TokensSchema)
@blueprint.refuses(WrongCodeError, MfaEnrollmentRequiredError, TooManyAttemptsError)
@takes_requester
@takes_device_token(lambda token, body: find_requesters_device(token, body["requester"]))
@limited(SIGN_IN)
def post_email_code_verify(body: dict[str, Any]) -> Tokens:
    """Sign in with a mailed code and the token of its request."""
    return sign_in_with_email_code(
        body["requester"], body["code"], device=body["device"], request=current_request_info()
    )
