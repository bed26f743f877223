"""The routes that change the caller's own address."""

from typing import Any

from authserve.core.errors import InvalidTokenForUseError
from authserve.http.authentication import (
    current_actor,
    current_authentication,
    fresh_login_required,
    login_optional,
    login_required,
    optional_actor,
)
from authserve.http.limits import limited
from authserve.http.openapi import Blueprint
from authserve.http.request_info import current_request_info
from authserve.http.schemas import EmptySchema
from authserve.passwords.queue import HasherBusyError
from authserve.ratelimit.errors import TooManyAttemptsError
from authserve.ratelimit.policy import CHANGE_EMAIL, CHANGE_PROFILE, REDEEM
from authserve.users.errors import EmailTakenError, WrongPasswordError
from authserve.verification.redeem import confirm_email_change
from authserve.verification.requests import request_email_change, withdraw_email_change
from authserve.verification.schemas import NewEmailSchema, ProvenTokenSchema

blueprint = Blueprint(
    "email", __name__, url_prefix="/api/v1/users/me/email", description="Changing an address."
)


@blueprint.post("")
@fresh_login_required
@blueprint.arguments(NewEmailSchema)
@blueprint.response(202, EmptySchema)
@limited(CHANGE_EMAIL)
def post_email(body: dict[str, Any]) -> dict[str, Any]:
    """Request another address: a link is mailed to it, and a notice to the current one."""
    caller = current_authentication()
    request_email_change(
        caller.actor.signed_in_user,
        old_email=caller.account.email,
        new_email=body["new_email"],
        actor=caller.actor,
        request=current_request_info(),
    )
    return {}


@blueprint.delete("")
@login_required
@blueprint.response(204)
@limited(CHANGE_PROFILE)
def delete_email() -> None:
    """Withdraw the pending change of address, if there is one."""
    actor = current_actor()
    withdraw_email_change(actor.signed_in_user, actor=actor, request=current_request_info())


@blueprint.post("/confirm")
@login_optional
@blueprint.arguments(ProvenTokenSchema)
@blueprint.response(204)
@blueprint.refuses(
    InvalidTokenForUseError,
    WrongPasswordError,
    EmailTakenError,
    TooManyAttemptsError,
    HasherBusyError,
)
@limited(REDEEM)
def confirm_email(body: dict[str, Any]) -> None:
    """Confirm the new address, with the link's token and a session or the password."""
    confirm_email_change(
        body["token"],
        password=body.get("password"),
        actor=optional_actor(),
        request=current_request_info(),
    )
