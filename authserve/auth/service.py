"""The use cases of signing up and in."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from authserve.auth.errors import InvalidCredentialsError
from authserve.auth.policy import SignInFailure, judge_sign_in
from authserve.auth.queries import SignIn, find_sign_in
from authserve.core.actor import Actor, RequestInfo
from authserve.core.clock import now
from authserve.core.crypto import random_bytes
from authserve.core.db import transaction
from authserve.core.errors import (
    AuthserveError,
    InvalidTokenError,
    SessionRevokedError,
    ValidationFailedError,
)
from authserve.core.events import emit
from authserve.core.identifiers import canonical_login_identifier
from authserve.core.password_policy import require_acceptable_password
from authserve.core.passwords import get_password_hasher
from authserve.core.settings import EmailVerification, get_settings
from authserve.ratelimit.service import (
    ThrottleKey,
    address_key,
    device_key,
    identifier_key,
    record_failure,
    record_success,
    require_allowed,
)
from authserve.rbac.service import USER_ROLE, assign_initial_roles
from authserve.sessions.errors import SessionNotFoundError
from authserve.sessions.events import SignInFailed
from authserve.sessions.service import (
    IssuedSession,
    PresentedRefresh,
    RevokeReason,
    end_session,
    end_sessions,
    is_of_family,
    judge_session,
    renew_authentication,
    require_live,
    rotate_session,
    start_session,
)
from authserve.users.errors import (
    AccountDisabledError,
    EmailNotVerifiedError,
    EmailTakenError,
)
from authserve.users.events import UserRegistered
from authserve.users.service import (
    Credentials,
    NewUser,
    User,
    add_user,
    confirm_password,
    find_credentials,
    record_login,
    ref_of,
)
from authserve.verification.service import (
    Purpose,
    notify_of_existing_account,
    request_by_address,
)

logger = logging.getLogger(__name__)

_GUESSES = frozenset(
    {
        SignInFailure.UNKNOWN_IDENTIFIER,
        SignInFailure.NO_PASSWORD,
        SignInFailure.WRONG_PASSWORD,
    }
)

_REFUSALS: dict[SignInFailure, type[AuthserveError]] = {
    SignInFailure.UNKNOWN_IDENTIFIER: InvalidCredentialsError,
    SignInFailure.NO_PASSWORD: InvalidCredentialsError,
    SignInFailure.WRONG_PASSWORD: InvalidCredentialsError,
    SignInFailure.ACCOUNT_DISABLED: AccountDisabledError,
    SignInFailure.EMAIL_NOT_VERIFIED: EmailNotVerifiedError,
}


@dataclass(frozen=True, slots=True)
class Device:
    """A device that an account's owner has signed in with.

    Args:
        id: 128 random bits.
        password_version: a new password makes the device unknown again.
    """

    user_id: UUID
    id: str
    password_version: int


def new_device(user_id: UUID, password_version: int) -> Device:
    """A device that was unknown until now."""
    return Device(user_id, random_bytes().hex(), password_version)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session and its user, ready for a pair of tokens.

    Args:
        device: to be known by at the next sign-in; None where nobody has just signed in.
    """

    session: IssuedSession
    sign_in: SignIn
    device: Device | None = None


def register(
    *,
    email: str,
    password: str,
    username: str | None = None,
    display_name: str | None = None,
    request: RequestInfo,
) -> tuple[User, tuple[str, ...]] | None:
    """Open an account for whoever asks.

    Args:
        email, username: in canonical form.

    Returns:
        The account, and the names of its roles. None while addresses must be verified: then the
        answer, its time and the work are the same for an address that has an account, whose
        owner is told by mail (ASVS 6.3.8).

    Raises:
        ValidationFailedError: the password is not acceptable, or a username came where a taken
            one would tell.
        EmailTakenError, UsernameTakenError: somebody has them, or was a moment faster.
        HasherBusyError: too many passwords wait to be hashed.
    """
    verification = get_settings().email_verification
    if verification is EmailVerification.REQUIRED and username is not None:
        raise ValidationFailedError({"username": ["Choose it later, in your own account."]})
    context = [word for word in (email, username, display_name) if word]
    require_acceptable_password(password, context=context)
    password_hash = get_password_hasher().hash(password)
    new = NewUser(
        email=email, username=username, display_name=display_name, password_hash=password_hash
    )
    if verification is not EmailVerification.REQUIRED:
        return _open_account(new, request), (USER_ROLE,)
    try:
        _open_account(new, request)
    except EmailTakenError:
        notify_of_existing_account(email)
    return None


def _open_account(new: NewUser, request: RequestInfo) -> User:
    with transaction():
        user = add_user(new)
        assign_initial_roles(ref_of(user), [USER_ROLE])
        emit(UserRegistered(subject=ref_of(user), request=request))
        if get_settings().email_verification is not EmailVerification.OFF:
            request_by_address(Purpose.VERIFY_EMAIL, new.email)
    return user


def login(
    *, identifier: str, password: str, device: Device | None = None, request: RequestInfo
) -> SignedIn:
    """Sign somebody in with a password.

    Unknown identifiers cost the same hashing as known ones (ASVS 6.3.8), and no connection is
    held meanwhile.

    Args:
        identifier: an address or username, as given.
        device: from a valid device token. If it is the account's, failures count on it alone:
            a stranger's guessing elsewhere never keeps the owner out.

    Raises:
        TooManyAttemptsError: too many wrong passwords came before, for whatever account.
        InvalidCredentialsError: nobody has it, or the password is wrong.
        AccountDisabledError, EmailNotVerifiedError: the password was right.
        HasherBusyError: too many passwords wait to be checked.
    """
    canonical = canonical_login_identifier(identifier)
    credentials = find_credentials(canonical) if canonical else None
    known = device if device is not None and _is_device_of(device, credentials) else None
    if known is not None:
        keys = [device_key(known.id)]
    else:
        # An identifier that nobody can have is counted all the same, or its 429 would be missing.
        keys = [identifier_key(canonical or identifier.strip().lower()), *address_key(request.ip)]
    require_allowed(keys)
    stored_hash = credentials.password_hash if credentials else None
    verification = get_password_hasher().verify(
        password, stored_hash, is_known_caller=known is not None
    )
    failure = judge_sign_in(
        credentials,
        is_password_right=verification.is_valid,
        verification=get_settings().email_verification,
    )
    if failure is None:
        assert credentials is not None
        session = _start(credentials, verification.replacement_hash, keys, request)
        if session is not None:
            version = credentials.password_version
            return _signed_in(session, known or new_device(credentials.ref.id, version))
        failure = _judge_changed(canonical)
    _record_failure(failure, credentials, keys, request)
    raise _REFUSALS[failure]


def _is_device_of(device: Device, credentials: Credentials | None) -> bool:
    return credentials is not None and (device.user_id, device.password_version) == (
        credentials.ref.id,
        credentials.password_version,
    )


def _start(
    credentials: Credentials,
    new_hash: str | None,
    keys: Sequence[ThrottleKey],
    request: RequestInfo,
) -> IssuedSession | None:
    """Start a session, unless the account changed while the password was checked."""
    with transaction():
        if not record_login(
            credentials.ref.id, verified_version=credentials.password_version, new_hash=new_hash
        ):
            return None
        record_success(keys)
        return start_session(credentials.ref, amr=("pwd",), request=request)


def _judge_changed(identifier: str | None) -> SignInFailure:
    """Why an account that was good a moment ago is not now: switched off, or a new password."""
    credentials = find_credentials(identifier) if identifier else None
    if credentials is not None and not credentials.is_active:
        return SignInFailure.ACCOUNT_DISABLED
    return SignInFailure.WRONG_PASSWORD


def _record_failure(
    failure: SignInFailure,
    credentials: Credentials | None,
    keys: Sequence[ThrottleKey],
    request: RequestInfo,
) -> None:
    """Count and commit the failure before it is answered (ASVS 16.3.1).

    Raises:
        TooManyAttemptsError: a block has begun meanwhile; then this is not a failure more.
    """
    subject = credentials.ref if credentials else None
    logger.info("sign-in failed", extra={"reason": failure})
    if failure in _GUESSES:
        record_failure(keys, subject=subject, request=request)
    else:
        # The password was right, so there is nothing to count. But a block that guesses beside
        # this one have begun holds for it as well, or its answer would tell that it was right.
        require_allowed(keys)
    with transaction(durable=True):
        emit(SignInFailed(subject=subject, request=request, details={"reason": failure}))


def refresh(presented: PresentedRefresh, *, request: RequestInfo) -> SignedIn:
    """Spend a refresh token and go on with the session.

    Raises:
        SessionRevokedError, TokenExpiredError, InvalidTokenError, TokenReusedError: see
            `sessions.service.rotate_session`.
    """
    return _signed_in(rotate_session(presented, request=request))


def _signed_in(session: IssuedSession, device: Device | None = None) -> SignedIn:
    return SignedIn(session, get_live_sign_in(session.id), device)


def get_live_sign_in(session_id: UUID) -> SignIn:
    """The session that a token belongs to, its user and their permissions.

    Raises:
        SessionRevokedError: it is unknown or was ended, or its user may not sign in any more.
        TokenExpiredError: one of its limits has passed.
    """
    sign_in = find_sign_in(session_id)
    if sign_in is None or not sign_in.row.is_active:
        raise SessionRevokedError
    require_live(judge_session(sign_in.row, now()))
    return sign_in


def reauthenticate(*, password: str, actor: Actor, request: RequestInfo) -> SignIn:
    """Let somebody signed in prove once more who they are; the session stays the same.

    Raises:
        WrongPasswordError: counted by the login throttle.
        SessionRevokedError: the session ended meanwhile.
        TooManyAttemptsError, HasherBusyError: see `users.service.confirm_password`.
    """
    user, session_id = actor.signed_in_user, _session_id(actor)
    confirm_password(user, password, actor=actor, request=request)
    renew_authentication(user, session_id, actor=actor, request=request)
    return get_live_sign_in(session_id)


def logout(
    session_id: UUID, user_id: UUID, family_secret: bytes | None, *, request: RequestInfo
) -> None:
    """End the session that a token of ours names.

    Args:
        family_secret: what a refresh token carries; None of an access token.

    Raises:
        SessionRevokedError: it has ended already.
        TokenExpiredError: one of its limits has passed.
        InvalidTokenError: it is another user's, or the refresh token is not of this session.
    """
    actor = get_live_sign_in(session_id).actor
    user = actor.signed_in_user
    if user.id != user_id:
        raise InvalidTokenError
    if family_secret is not None and not is_of_family(session_id, family_secret):
        raise InvalidTokenError
    try:
        end_session(user, session_id, RevokeReason.LOGOUT, actor=actor, request=request)
    except SessionNotFoundError as error:
        # Another logout was a moment faster.
        raise SessionRevokedError from error


def logout_everywhere(*, actor: Actor, request: RequestInfo) -> None:
    """End every session of the caller, this one included."""
    end_sessions(actor.signed_in_user, RevokeReason.LOGOUT_ALL, actor=actor, request=request)


def _session_id(actor: Actor) -> UUID:
    if actor.session_id is None:
        raise LookupError("the actor has no session")
    return actor.session_id
