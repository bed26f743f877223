"""The routes of `/api/v1/auth`."""

from collections.abc import Mapping
from typing import Any

from flask import Response

from authserve.auth.errors import InvalidCredentialsError
from authserve.auth.factor_confirmation import confirm_totp
from authserve.auth.first_administrator import make_first_administrator
from authserve.auth.introspection import introspect
from authserve.auth.known_devices import find_own_device
from authserve.auth.login import login
from authserve.auth.logout import logout, logout_everywhere
from authserve.auth.reauthenticate import reauthenticate
from authserve.auth.refresh import refresh
from authserve.auth.register import register
from authserve.auth.schemas import (
    EXAMPLE_PASSWORD,
    AccessTokenSchema,
    ConfirmedTotpSchema,
    FirstAdministratorSchema,
    IntrospectionSchema,
    IntrospectSchema,
    LoginSchema,
    LogoutAllSchema,
    ReauthenticateSchema,
    RefreshSchema,
    RegisterSchema,
    TokensSchema,
    confirmed_factor_document,
)
from authserve.core.errors import (
    AuthenticationRequiredError,
    InvalidTokenError,
    NotFoundError,
    SessionRevokedError,
    StepUpRequiredError,
    TokenExpiredError,
)
from authserve.http.authentication import (
    current_actor,
    login_at_any_level_required,
    require_permission,
)
from authserve.http.callers import one_token
from authserve.http.limits import limited, takes_device_token
from authserve.http.middleware import note_outcome
from authserve.http.openapi import ACCESS_TOKEN, NO_TOKEN, REFRESH_TOKEN, Blueprint, secured_by
from authserve.http.request_info import current_request_info
from authserve.http.schemas import EmptySchema, UserSchema, json_response, user_document
from authserve.mfa.errors import (
    CodeReusedError,
    FactorUnavailableError,
    InvalidCodeError,
    MfaEnrollmentRequiredError,
    MfaOffError,
    MfaRequiredError,
    NoSetUpError,
    SecondStepRequiredError,
    WrongPasskeyError,
)
from authserve.mfa.schemas import (
    TotpConfirmationSchema,
    find_given_proof,
)
from authserve.passwords.queue import HasherBusyError
from authserve.ratelimit.errors import TooManyAttemptsError
from authserve.ratelimit.policy import (
    PASSWORDS,
    REAUTHENTICATE,
    REDEEM,
    SIGN_IN,
    SIGN_UP,
    SIGN_UP_OF_EMAIL,
)
from authserve.rbac.policy import Permission
from authserve.sessions.errors import TokenReusedError
from authserve.tokens.access import AccessToken
from authserve.users.errors import (
    AccountDisabledError,
    EmailNotVerifiedError,
    EmailTakenError,
    RegistrationClosedError,
    UsernameTakenError,
    WrongPasswordError,
)
from authserve.users.own_account import on_own_account

blueprint = Blueprint(
    "auth", __name__, url_prefix="/api/v1/auth", description="Signing up, signing in, tokens."
)
factors_blueprint = Blueprint(
    "factors",
    __name__,
    url_prefix="/api/v1/users/me",
    description="Confirming new second factors, which returns tokens.",
)


@blueprint.post("/register")
@blueprint.arguments(RegisterSchema)
@blueprint.response(201, UserSchema)
@blueprint.alt_response(202, schema=EmptySchema, success=True)
@blueprint.refuses(RegistrationClosedError, EmailTakenError, UsernameTakenError, HasherBusyError)
@limited(SIGN_UP, SIGN_UP_OF_EMAIL)
def register_user(body: dict[str, Any]) -> Response:
    """Open an account; where addresses must be verified, the answer is always 202."""
    registered = register(
        email=body["email"],
        password=body["password"],
        username=body.get("username"),
        display_name=body.get("display_name"),
        locale=body.get("locale"),
        request=current_request_info(),
    )
    if registered is None:
        return json_response({}, 202)
    return json_response(user_document(*registered), 201)


@blueprint.post("/login")
@blueprint.arguments(LoginSchema)
@blueprint.response(200, TokensSchema)
@blueprint.refuses(
    InvalidCredentialsError,
    AccountDisabledError,
    EmailNotVerifiedError,
    SecondStepRequiredError,
    MfaEnrollmentRequiredError,
    TooManyAttemptsError,
    HasherBusyError,
)
@takes_device_token(lambda token, body: find_own_device(token, identifier=body["identifier"]))
@limited(SIGN_IN, PASSWORDS)
def login_user(body: dict[str, Any]) -> Response:
    """Sign in with an address or username and a password."""
    tokens = login(
        identifier=body["identifier"],
        password=body["password"],
        device=body["device"],
        request=current_request_info(),
    )
    return json_response(tokens)


@blueprint.post("/refresh")
@secured_by(NO_TOKEN, REFRESH_TOKEN)
@blueprint.arguments(RefreshSchema, required=False)
@blueprint.response(200, TokensSchema)
@blueprint.refuses(
    AuthenticationRequiredError,
    InvalidTokenError,
    TokenExpiredError,
    SessionRevokedError,
    TokenReusedError,
    StepUpRequiredError,
)
def refresh_tokens(body: dict[str, Any]) -> Response:
    """Exchange a refresh token, in the body or as bearer, for a new pair; use each token once."""
    token = one_token(
        body.get("refresh_token"),
        if_missing="Send the refresh token: refresh_token in the body, or as bearer.",
    )
    tokens, is_retry = refresh(token, request=current_request_info())
    note_outcome("retried" if is_retry else "rotated")
    return json_response(tokens)


@blueprint.post("/logout")
@secured_by(ACCESS_TOKEN, REFRESH_TOKEN)
@blueprint.response(204)
@blueprint.refuses(
    AuthenticationRequiredError, InvalidTokenError, TokenExpiredError, SessionRevokedError
)
def logout_session() -> None:
    """End the session of the bearer: a refresh token, or an access token, even an expired one."""
    logout(one_token(None), request=current_request_info())


@blueprint.post("/logout-all")
@login_at_any_level_required
@blueprint.arguments(LogoutAllSchema, required=False)
@blueprint.response(204)
@on_own_account
def logout_all(body: dict[str, Any]) -> None:
    """End every session of the caller, and what `include` names besides."""
    logout_everywhere(
        include=body["include"], actor=current_actor(), request=current_request_info()
    )


@blueprint.post("/reauthenticate")
@login_at_any_level_required
@blueprint.arguments(ReauthenticateSchema, example={"password": EXAMPLE_PASSWORD})
@blueprint.response(200, AccessTokenSchema)
@blueprint.refuses(
    WrongPasswordError,
    MfaRequiredError,
    InvalidCodeError,
    CodeReusedError,
    WrongPasskeyError,
    TooManyAttemptsError,
    FactorUnavailableError,
    HasherBusyError,
)
@limited(REAUTHENTICATE, PASSWORDS)
@on_own_account
def reauthenticate_user(body: dict[str, Any]) -> AccessToken:
    """Verify the caller once more, at the session's level or above; return a fresh access token."""
    return reauthenticate(
        password=body.get("password"),
        given=find_given_proof(body),
        actor=current_actor(),
        request=current_request_info(),
    )


@blueprint.post("/introspect")
@require_permission(Permission.TOKENS_INTROSPECT)
@blueprint.arguments(IntrospectSchema)
@blueprint.response(200, IntrospectionSchema)
@blueprint.takes_form
def introspect_token(body: dict[str, Any]) -> Mapping[str, Any]:
    """Return the claims of an access token if it is valid now (RFC 7662); takes JSON or a form."""
    return introspect(body["token"])


@blueprint.post("/first-administrator")
@blueprint.arguments(FirstAdministratorSchema)
@blueprint.response(201, UserSchema)
@blueprint.refuses(NotFoundError, HasherBusyError)
@limited(REDEEM)
def post_first_administrator(body: dict[str, Any]) -> Response:
    """Create the first account, an administrator, with the token of `flask users first-link`."""
    made = make_first_administrator(
        body["token"],
        email=body["email"],
        password=body["password"],
        request=current_request_info(),
    )
    return json_response(user_document(*made), 201)


@factors_blueprint.post("/mfa/totp/confirm")
@login_at_any_level_required
@factors_blueprint.arguments(TotpConfirmationSchema)
@factors_blueprint.response(200, ConfirmedTotpSchema)
@factors_blueprint.refuses(
    InvalidCodeError, NoSetUpError, MfaOffError, StepUpRequiredError, FactorUnavailableError
)
@limited(REDEEM)
@on_own_account
def post_confirmation(body: dict[str, Any]) -> dict[str, Any]:
    """Confirm an authenticator app by its code: MFA is on, and every other session ends."""
    confirmed = confirm_totp(
        code=body["code"],
        email_code=body.get("email_code"),
        actor=current_actor(),
        request=current_request_info(),
    )
    return confirmed_factor_document(confirmed)
