"""The use cases of signing up and in."""

import logging
from dataclasses import dataclass
from uuid import UUID

from authserve.auth.errors import InvalidCredentialsError
from authserve.auth.policy import SignInFailure, judge_sign_in
from authserve.auth.queries import SignIn, find_sign_in
from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.clock import now
from authserve.core.db import transaction
from authserve.core.errors import AuthserveError, SessionRevokedError
from authserve.core.events import emit
from authserve.core.identifiers import canonical_login_identifier
from authserve.core.password_policy import require_acceptable_password
from authserve.core.passwords import get_password_hasher
from authserve.core.settings import get_settings
from authserve.rbac.service import USER_ROLE, assign_initial_roles
from authserve.sessions.events import SignInFailed
from authserve.sessions.service import (
    IssuedSession,
    PresentedRefresh,
    judge_session,
    require_live,
    rotate_session,
    start_session,
)
from authserve.users.errors import AccountDisabledError, EmailNotVerifiedError
from authserve.users.events import UserRegistered
from authserve.users.service import (
    Credentials,
    NewUser,
    User,
    add_user,
    find_credentials,
    record_login,
    ref_of,
)

logger = logging.getLogger(__name__)

_REFUSALS: dict[SignInFailure, type[AuthserveError]] = {
    SignInFailure.UNKNOWN_IDENTIFIER: InvalidCredentialsError,
    SignInFailure.NO_PASSWORD: InvalidCredentialsError,
    SignInFailure.WRONG_PASSWORD: InvalidCredentialsError,
    SignInFailure.ACCOUNT_DISABLED: AccountDisabledError,
    SignInFailure.EMAIL_NOT_VERIFIED: EmailNotVerifiedError,
}


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session and its user, ready for a pair of tokens."""

    session: IssuedSession
    sign_in: SignIn


def register(
    *,
    email: str,
    password: str,
    username: str | None = None,
    display_name: str | None = None,
    request: RequestInfo,
) -> tuple[User, tuple[str, ...]]:
    """Open an account for whoever asks.

    Args:
        email, username: in canonical form.

    Returns:
        The account, and the names of its roles.

    Raises:
        ValidationFailedError: the password is not acceptable.
        EmailTakenError, UsernameTakenError: somebody has them, or was a moment faster.
        HasherBusyError: too many passwords wait to be hashed.
    """
    context = [word for word in (email, username, display_name) if word]
    require_acceptable_password(password, context=context)
    password_hash = get_password_hasher().hash(password)
    new = NewUser(
        email=email, username=username, display_name=display_name, password_hash=password_hash
    )
    with transaction():
        user = add_user(new)
        assign_initial_roles(ref_of(user), [USER_ROLE])
        emit(UserRegistered(subject=ref_of(user), request=request))
    return user, (USER_ROLE,)


def login(*, identifier: str, password: str, request: RequestInfo) -> SignedIn:
    """Sign somebody in with a password.

    Unknown identifiers cost the same hashing as known ones (ASVS 6.3.8), and no connection is
    held meanwhile.

    Args:
        identifier: an address or username, as given.

    Raises:
        InvalidCredentialsError: nobody has it, or the password is wrong.
        AccountDisabledError, EmailNotVerifiedError: the password was right.
        HasherBusyError: too many passwords wait to be checked.
    """
    canonical = canonical_login_identifier(identifier)
    credentials = find_credentials(canonical) if canonical else None
    stored_hash = credentials.password_hash if credentials else None
    verification = get_password_hasher().verify(password, stored_hash)
    failure = judge_sign_in(
        credentials,
        is_password_right=verification.is_valid,
        verification=get_settings().email_verification,
    )
    if failure is None:
        assert credentials is not None
        session = _start(credentials, verification.replacement_hash, request)
        if session is not None:
            return _signed_in(session)
        failure = _judge_changed(canonical)
    _record_failure(failure, credentials, request)
    raise _REFUSALS[failure]


def _start(
    credentials: Credentials, new_hash: str | None, request: RequestInfo
) -> IssuedSession | None:
    """Start a session, unless the account changed while the password was checked."""
    assert credentials.password_hash is not None
    with transaction():
        if not record_login(
            credentials.ref.id, verified_hash=credentials.password_hash, new_hash=new_hash
        ):
            return None
        return start_session(credentials.ref, amr=("pwd",), request=request)


def _judge_changed(identifier: str | None) -> SignInFailure:
    """Why an account that was good a moment ago is not now: switched off, or a new password."""
    credentials = find_credentials(identifier) if identifier else None
    if credentials is not None and not credentials.is_active:
        return SignInFailure.ACCOUNT_DISABLED
    return SignInFailure.WRONG_PASSWORD


def _record_failure(
    failure: SignInFailure, credentials: Credentials | None, request: RequestInfo
) -> None:
    """Commit the failure before it is answered (ASVS 16.3.1)."""
    logger.info("sign-in failed", extra={"reason": failure})
    with transaction(durable=True):
        emit(
            SignInFailed(
                actor=VISITOR,
                subject=credentials.ref if credentials else None,
                request=request,
                details={"reason": failure},
            )
        )


def refresh(presented: PresentedRefresh, *, request: RequestInfo) -> SignedIn:
    """Spend a refresh token and go on with the session.

    Raises:
        SessionRevokedError, TokenExpiredError, InvalidTokenError, TokenReusedError: see
            `sessions.service.rotate_session`.
    """
    return _signed_in(rotate_session(presented, request=request))


def _signed_in(session: IssuedSession) -> SignedIn:
    return SignedIn(session, get_live_sign_in(session.id))


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
