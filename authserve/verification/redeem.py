"""Redeeming a link: once, for one purpose, and for the account that it was made for.

Checks without hashing come before those that hash, and a refused call does not spend the link. As
everywhere (see `requests`), the user's row is written before the link's; if the link turns out to
be spent, the transaction is rolled back.
"""

from collections.abc import Mapping

from authserve.core.actor import VISITOR, Actor, RequestInfo, UserRef
from authserve.core.errors import InvalidTokenForUseError, ValidationFailedError
from authserve.core.events import AuditAction
from authserve.core.frozen import frozen
from authserve.database.emit import NO_DETAILS, emit
from authserve.database.transactions import transaction
from authserve.mail.notices import notify
from authserve.mail.policy import MailKind
from authserve.passwords.hasher import PASSWORD_HASHER
from authserve.passwords.validation import require_acceptable_password
from authserve.ratelimit.policy import find_network
from authserve.ratelimit.throttle import remember_network
from authserve.users.accounts import ProfileChanges, update_profile
from authserve.users.credentials import Credentials, get_credentials
from authserve.users.email_changes import change_email, verify_email
from authserve.users.errors import UserNotFoundError
from authserve.users.password_changes import replace_password
from authserve.users.passwords import confirm_password
from authserve.verification.models import OneTimeToken
from authserve.verification.policy import Purpose
from authserve.verification.requests import (
    close_email_change,
    drop_pending,
)
from authserve.verification.tokens import consume, get_live_token, supersede


@frozen()
class NewPassword:
    """The user whose password was set, and its version, for a device token."""

    user: UserRef
    password_version: int


def verify_address(token: str, *, password: str | None, actor: Actor, request: RequestInfo) -> None:
    """Verify the address of an account.

    The link alone is not enough: a visitor may have opened the account with another person's
    address, and that person's click must not verify it.

    Args:
        password: the account's; not needed if `actor` is its user.

    Raises:
        InvalidTokenForUseError: the link is dead, or another user's.
        ValidationFailedError: the request has neither a session nor a password.
        WrongPasswordError, TooManyAttemptsError, HasherBusyError: see `confirm_password`.
    """
    found = get_live_token(token, Purpose.VERIFY_EMAIL)
    user = _require_proof(found, password, actor=actor, request=request)
    try:
        with transaction():
            verify_email(user, found.email)
            consume(found)
            emit(AuditAction.USER_EMAIL_VERIFIED, actor=actor, subject=user, request=request)
    except UserNotFoundError as error:
        raise InvalidTokenForUseError from error


def confirm_email_change(
    token: str, *, password: str | None, actor: Actor, request: RequestInfo
) -> None:
    """Change an account's address to the one that the link was sent to.

    Every live link to the old address is superseded, and a notice goes to that address.

    Raises:
        EmailTakenError: another account has the address by now; the link is not spent.
        InvalidTokenForUseError, ValidationFailedError, WrongPasswordError, TooManyAttemptsError,
            HasherBusyError: see `verify_address`.
    """
    found = get_live_token(token, Purpose.CHANGE_EMAIL)
    user = _require_proof(found, password, actor=actor, request=request)
    try:
        with transaction():
            old_email = change_email(user, found.email)
            close_email_change(user.id)
            consume(found)
            supersede((OneTimeToken.user_id == user.id) & (OneTimeToken.email == old_email))
            notify(MailKind.EMAIL_CHANGED, old_email, user.id)
            emit(AuditAction.USER_EMAIL_CHANGED, actor=actor, subject=user, request=request)
    except UserNotFoundError as error:
        raise InvalidTokenForUseError from error


def reset_password(token: str, *, new_password: str, request: RequestInfo) -> NewPassword:
    """Set a password with a reset link; every session ends, and other links are cancelled.

    The event has the state of the address before: a visitor may have opened an account with another
    person's address, so handlers end what the first holder of an unverified one prepared. A state
    that a simultaneous call verifies counts as unverified.

    The caller's network is known to the account for an hour, so that guesses of other visitors
    cannot block the sign-in that follows.

    Raises:
        InvalidTokenForUseError: the link is dead.
        ValidationFailedError: the password is not acceptable; the link is not spent.
        HasherBusyError: too many passwords wait to be hashed; the link is not spent.
    """
    found = get_live_token(token, Purpose.RESET_PASSWORD)
    credentials = _owner_of(found)
    new_hash = _hash_acceptable(
        new_password, context=credentials.names, field="new_password", request=request
    )
    version = _set_password(
        found,
        credentials.ref,
        new_hash,
        action=AuditAction.USER_PASSWORD_RESET,
        actor=VISITOR,
        request=request,
        details={"was_verified": credentials.email_verified},
    )
    return NewPassword(credentials.ref, version)


def accept_invitation(
    token: str,
    *,
    password: str,
    username: str | None = None,
    display_name: str | None = None,
    request: RequestInfo,
) -> NewPassword:
    """Let an invited user choose a password and names; this verifies the address.

    Raises:
        InvalidTokenForUseError: the link is dead, or the account has been activated.
        UsernameTakenError: the username is taken; the link is not spent.
        ValidationFailedError, HasherBusyError: see `reset_password`.
    """
    found = get_live_token(token, Purpose.INVITATION)
    credentials = _owner_of(found)
    if credentials.is_activated:
        raise InvalidTokenForUseError
    changes = ProfileChanges()
    if username is not None:
        changes["username"] = username
    if display_name is not None:
        changes["display_name"] = display_name
    new_hash = _hash_acceptable(
        password,
        context=[*credentials.names, *(name for name in (username, display_name) if name)],
        field="password",
        request=request,
    )
    actor = Actor(user=credentials.ref)
    with transaction():
        if changes:
            update_profile(credentials.ref, changes, actor=actor, request=request)
        version = _set_password(
            found,
            credentials.ref,
            new_hash,
            action=AuditAction.USER_INVITATION_ACCEPTED,
            actor=actor,
            request=request,
        )
    return NewPassword(credentials.ref, version)


def _set_password(
    found: OneTimeToken,
    user: UserRef,
    new_hash: str,
    *,
    action: AuditAction,
    actor: Actor,
    request: RequestInfo,
    details: Mapping[str, bool] = NO_DETAILS,
) -> int:
    try:
        with transaction():
            version = replace_password(
                user,
                email=found.email,
                new_hash=new_hash,
                only_unactivated=found.purpose == Purpose.INVITATION,
            )
            drop_pending(user.id, found.email)
            consume(found)
            supersede(OneTimeToken.user_id == user.id)
            emit(action, actor=actor, subject=user, request=request, details=details)
            remember_network(user.id, version, request.ip)
    except UserNotFoundError as error:
        raise InvalidTokenForUseError from error
    return version


def _hash_acceptable(password: str, *, context: list[str], field: str, request: RequestInfo) -> str:
    require_acceptable_password(password, context=context, field=field)
    hasher = PASSWORD_HASHER.get()
    return hasher.hash(password, is_known_caller=True, network=find_network(request.ip))


def _owner_of(found: OneTimeToken) -> Credentials:
    """Return the credentials of the account that a link was made for.

    Raises:
        InvalidTokenForUseError: the account is deleted or deactivated, or its address has changed.
    """
    try:
        credentials = get_credentials(found.user_id)
    except UserNotFoundError as error:
        raise InvalidTokenForUseError from error
    is_for_new_address = found.purpose == Purpose.CHANGE_EMAIL
    if not credentials.is_active or not (is_for_new_address or credentials.email == found.email):
        raise InvalidTokenForUseError
    return credentials


def _require_proof(
    found: OneTimeToken, password: str | None, *, actor: Actor, request: RequestInfo
) -> UserRef:
    if actor.user is not None and actor.user.id != found.user_id:
        raise InvalidTokenForUseError
    user = _owner_of(found).ref
    if actor.user is not None:
        return user
    if password is None:
        message = "Give the account's password, or send an access token of its user."
        raise ValidationFailedError({"password": [message]})
    confirm_password(user, password, actor=VISITOR, request=request)
    return user
