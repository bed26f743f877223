"""The auth blueprint."""

from typing import Any

from flask import Response

from authserve.auth.errors import InvalidCredentialsError
from authserve.auth.schemas import LoginSchema, RegisterSchema, TokensSchema
from authserve.auth.service import login, register
from authserve.auth.tokens import issue_pair
from authserve.core.passwords import HasherBusyError
from authserve.http.openapi import Blueprint
from authserve.http.request_info import current_request_info
from authserve.http.responses import json_response
from authserve.http.schemas import UserSchema, user_document
from authserve.users.errors import (
    AccountDisabledError,
    EmailNotVerifiedError,
    EmailTakenError,
    UsernameTakenError,
)

blueprint = Blueprint(
    "auth", __name__, url_prefix="/api/v1/auth", description="Signing up, signing in, tokens."
)


@blueprint.post("/register")
@blueprint.arguments(RegisterSchema)
@blueprint.response(201, UserSchema)
@blueprint.refuses(EmailTakenError, UsernameTakenError, HasherBusyError)
def register_user(body: dict[str, Any]) -> Response:
    """Open an account."""
    user, roles = register(**body, request=current_request_info())
    return json_response(user_document(user, roles), 201)


@blueprint.post("/login")
@blueprint.arguments(LoginSchema)
@blueprint.response(200, TokensSchema)
@blueprint.refuses(
    InvalidCredentialsError, AccountDisabledError, EmailNotVerifiedError, HasherBusyError
)
def login_user(body: dict[str, Any]) -> dict[str, Any]:
    """Sign in with an address or username and a password."""
    return issue_pair(login(**body, request=current_request_info()), fresh=True)
