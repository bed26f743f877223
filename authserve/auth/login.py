"""The use case of login with a password."""

from collections.abc import Sequence
from datetime import datetime

from authserve.auth.errors import InvalidCredentialsError
from authserve.auth.failed_sign_in import audit_failed_sign_in
from authserve.auth.first_step import assess_first_step, finish_first_step
from authserve.auth.known_devices import is_device_of
from authserve.auth.policy import SignInFailure, check_sign_in
from authserve.auth.start_session import NewCookie, issue_sign_in_tokens
from authserve.core.actor import RequestInfo
from authserve.core.clock import now
from authserve.core.errors import AuthserveError
from authserve.core.frozen import frozen
from authserve.core.identifiers import canonical_login_identifier
from authserve.core.levels import Proof
from authserve.database.transactions import transaction
from authserve.keys.store import KEY_STORE
from authserve.mfa.assurance import Assessment, Enough
from authserve.mfa.errors import SecondStepRequiredError
from authserve.passwords.hasher import PASSWORD_HASHER
from authserve.ratelimit.policy import find_network
from authserve.ratelimit.throttle import (
    choose_sign_in_keys,
    record_failure,
    require_allowed,
)
from authserve.ratelimit.throttle_keys import (
    Counted,
    ThrottleKey,
)
from authserve.settings.model import SETTINGS, Settings
from authserve.tokens.access import LiveSession
from authserve.tokens.device import Device, new_device
from authserve.tokens.refresh import Tokens
from authserve.users.credentials import Credentials, find_credentials
from authserve.users.errors import AccountDisabledError, EmailNotVerifiedError
from authserve.users.passwords import count_wrong_password, record_login

_PROOFS = frozenset({Proof.PASSWORD})

_REFUSALS: dict[SignInFailure, type[AuthserveError]] = {
    SignInFailure.UNKNOWN_IDENTIFIER: InvalidCredentialsError,
    SignInFailure.NO_PASSWORD: InvalidCredentialsError,
    SignInFailure.WRONG_PASSWORD: InvalidCredentialsError,
    SignInFailure.PASSWORD_DISABLED: InvalidCredentialsError,
    SignInFailure.ACCOUNT_DISABLED: AccountDisabledError,
    SignInFailure.EMAIL_NOT_VERIFIED: EmailNotVerifiedError,
}

_GUESSES = frozenset(
    failure for failure, error in _REFUSALS.items() if error is InvalidCredentialsError
)
"""Failures that are answered and counted like a wrong password, since a difference would reveal the
account's state."""


def login(*, identifier: str, password: str, device: Device | None, request: RequestInfo) -> Tokens:
    """Sign a user in with a password, and return the tokens of the new session.

    Args:
        identifier, password, device, request: see `start_session_with_password`.

    Raises:
        SigningKeyUnavailableError: the tokens could not be signed; no session was started.
        AuthserveError: see `start_session_with_password`.
    """
    # First, so that no session starts if its tokens could not be signed.
    key = KEY_STORE.get().signing_key()
    session, device = start_session_with_password(
        identifier=identifier, password=password, device=device, request=request
    )
    return issue_sign_in_tokens(session, key=key, device=device)


def start_session_with_password(
    *,
    identifier: str,
    password: str,
    device: Device | None,
    request: RequestInfo,
    cookie: NewCookie | None = None,
) -> tuple[LiveSession, Device]:
    """Start a session of a user whose password is correct.

    Unknown identifiers cost the same hashing as known ones (ASVS 6.3.8), and no database
    connection is held while hashing.

    Args:
        identifier: an address or username, as given.
        device: from a valid device token. If the account knows it, failures are counted by it
            alone, so that guesses from elsewhere never lock the owner out. A device of another
            account is ignored.
        cookie: see `start_session`.

    Returns:
        The session, and the device that is known at the next sign-in.

    Raises:
        TooManyAttemptsError: too many wrong passwords were counted by the identifier, the client
            address, its known network or the device.
        InvalidCredentialsError: no account has the identifier, or the password is wrong. Also if
            the password is disabled for unknown devices, after too many wrong ones in a row: only
            a mail informs the owner, since 403 would reveal the account to strangers.
        AccountDisabledError, EmailNotVerifiedError: the password was correct.
        SecondStepRequiredError: it was correct, and the account needs a second factor.
        HasherBusyError: too many passwords wait to be checked.
    """
    settings = SETTINGS.get()
    attempt = _begin(identifier, device, request, cookie)
    credentials, is_known = attempt.credentials, attempt.is_known
    stored_hash = credentials.hash_for(is_known_caller=is_known) if credentials else None
    verification = PASSWORD_HASHER.get().verify(
        password,
        stored_hash,
        is_known_caller=is_known or attempt.is_from_known_network,
        network=find_network(request.ip),
    )
    failure = check_sign_in(
        credentials,
        is_known_device=is_known,
        is_password_right=verification.is_valid,
        verification=settings.email_verification,
    )
    if failure is None:
        assert credentials is not None
        session = _finish(attempt, credentials, verification.replacement_hash, settings)
        version = credentials.password_version
        return session, attempt.device or new_device(session.user_id, version)
    _record_failure(failure, attempt)
    raise _REFUSALS[failure]


@frozen(kw_only=True)
class _Attempt:
    """A sign-in in progress.

    Args:
        identifier: in canonical form; None if no account can have it.
        credentials: of the account that has the identifier, if any.
        device: the device, if that account knows it.
        keys: the keys that a wrong password is counted by.
        cookie: of the browser that signs in; None for an API client.
    """

    identifier: str | None
    credentials: Credentials | None
    device: Device | None
    keys: Sequence[ThrottleKey]
    request: RequestInfo
    cookie: NewCookie | None

    @property
    def is_known(self) -> bool:
        """True if it comes from a device of the account's owner."""
        return self.device is not None

    @property
    def is_from_known_network(self) -> bool:
        """True if a password set by a mailed link made its network known to the account."""
        return any(key.counted is Counted.KNOWN_NETWORK for key in self.keys)


def _begin(
    identifier: str, device: Device | None, request: RequestInfo, cookie: NewCookie | None
) -> _Attempt:
    canonical = canonical_login_identifier(identifier)
    credentials = find_credentials(canonical) if canonical else None
    known = device if device is not None and is_device_of(device, credentials) else None
    keys = choose_sign_in_keys(
        # An identifier that no account can have is counted too, or it would never get 429.
        canonical or identifier.strip().lower(),
        user_id=credentials.ref.id if credentials else None,
        password_version=credentials.password_version if credentials else 0,
        device_id=known.id if known else None,
        ip=request.ip,
    )
    return _Attempt(
        identifier=canonical,
        credentials=credentials,
        device=known,
        keys=keys,
        request=request,
        cookie=cookie,
    )


def _finish(
    attempt: _Attempt, account: Credentials, new_hash: str | None, settings: Settings
) -> LiveSession:
    """Start the session of a right password, or begin the second step that it needs.

    Args:
        account: as read before the check of the password.
        new_hash: see `record_login`.

    Raises:
        SecondStepRequiredError: the account needs a second factor.
        AuthserveError: the account changed during the check; see `_REFUSALS`.
    """
    moment = now()
    found = assess_first_step(account, _PROOFS, settings=settings, now=moment)
    outcome = _record(attempt, account, found, new_hash, settings, moment)
    if isinstance(outcome, LiveSession):
        return outcome
    if outcome is not None:
        raise outcome
    changed = find_credentials(attempt.identifier) if attempt.identifier else None
    failure = _explain_changed(attempt, account, changed)
    if failure is None and changed is not None:
        # The second factor was switched on during the check, so the password is not enough now.
        return _finish(attempt, changed, new_hash, settings)
    failure = failure or SignInFailure.WRONG_PASSWORD
    _record_failure(failure, attempt)
    raise _REFUSALS[failure]


def _record(
    attempt: _Attempt,
    account: Credentials,
    found: Assessment,
    new_hash: str | None,
    settings: Settings,
    moment: datetime,
) -> LiveSession | SecondStepRequiredError | None:
    """Store the session or the pending sign-in; None if the account changed during the check."""
    with transaction():
        if not record_login(
            account.ref.id,
            verified_version=account.password_version,
            is_known_device=attempt.is_known,
            level=found.level if isinstance(found, Enough) else None,
            keys=attempt.keys,
            new_hash=new_hash,
            now=moment,
        ):
            return None
        return finish_first_step(
            account,
            found,
            proofs=_PROOFS,
            device=attempt.device,
            request=attempt.request,
            settings=settings,
            now=moment,
            cookie=attempt.cookie,
        )


def _explain_changed(
    attempt: _Attempt, account: Credentials, changed: Credentials | None
) -> SignInFailure | None:
    """Return why a correct password is refused: the account changed during the check.

    Returns:
        None if the password is still correct.
    """
    if changed is None:
        return SignInFailure.WRONG_PASSWORD
    if not changed.is_active:
        return SignInFailure.ACCOUNT_DISABLED
    if changed.is_password_disabled and not attempt.is_known:
        return SignInFailure.PASSWORD_DISABLED
    is_same = (changed.ref, changed.password_version) == (account.ref, account.password_version)
    return None if is_same else SignInFailure.WRONG_PASSWORD


def _record_failure(failure: SignInFailure, attempt: _Attempt) -> None:
    """Count, audit and commit the failure before it is answered (ASVS 16.3.1).

    Raises:
        TooManyAttemptsError: a block has begun meanwhile; then no failed sign-in is audited.
    """
    credentials, request = attempt.credentials, attempt.request
    subject = credentials.ref if credentials else None
    is_guess = failure in _GUESSES
    if is_guess:
        record_failure(attempt.keys, subject=subject, request=request)
    else:
        # The password was correct, so nothing is counted. But a block that concurrent guesses
        # have begun applies here too, or the answer would reveal that the password is correct.
        require_allowed(attempt.keys)
    with transaction(durable=True):
        if is_guess and not attempt.is_known:
            count_wrong_password(credentials, request=request)
        audit_failed_sign_in(failure, subject, request=request)
