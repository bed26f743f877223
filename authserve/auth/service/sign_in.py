"""Signing in with a password."""

import logging
from collections.abc import Sequence

from authserve.auth.errors import InvalidCredentialsError
from authserve.auth.policy import SignInFailure, judge_sign_in
from authserve.auth.service.live import Device, SignedIn, is_device_of, new_device, signed_in
from authserve.core.actor import RequestInfo
from authserve.core.db import transaction
from authserve.core.errors import AuthserveError
from authserve.core.events import emit
from authserve.core.identifiers import canonical_login_identifier
from authserve.core.passwords import get_password_hasher
from authserve.core.settings import get_settings
from authserve.ratelimit.service import (
    ThrottleKey,
    address_key,
    device_key,
    identifier_key,
    record_failure,
    record_success,
    require_allowed,
)
from authserve.sessions.events import SignInFailed
from authserve.sessions.service import IssuedSession, start_session
from authserve.users.errors import AccountDisabledError, EmailNotVerifiedError
from authserve.users.service import Credentials, find_credentials, record_login

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
    known = device if device is not None and is_device_of(device, credentials) else None
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
            return signed_in(session, known or new_device(credentials.ref.id, version))
        failure = _judge_changed(canonical)
    _record_failure(failure, credentials, keys, request)
    raise _REFUSALS[failure]


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
