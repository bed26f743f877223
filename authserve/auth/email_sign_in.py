"""The use cases of a sign-in with a mailed code: requesting one, and giving it.

Neither reveals accounts: a request only enqueues, for every address alike, and an unknown address
is tried with the same statements on no row. A mailed code is one factor at most (`AAL1`), since a
mailbox is no authenticator (NIST SP 800-63B-4 §3.1.3.1).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from authserve.auth.errors import WrongCodeError
from authserve.auth.failed_sign_in import audit_failed_sign_in
from authserve.auth.first_step import assess_first_step, finish_first_step
from authserve.auth.policy import SignInFailure
from authserve.auth.start_session import NewCookie, issue_sign_in_tokens
from authserve.core.actor import RequestInfo
from authserve.core.clock import now
from authserve.core.frozen import frozen
from authserve.core.levels import Proof
from authserve.database.transactions import transaction
from authserve.keys.store import KEY_STORE
from authserve.mfa.assurance import Enough, NeedsEnrollment, NeedsSecond
from authserve.mfa.email_codes import CodePurpose, FoundCode, spend_code, try_code
from authserve.mfa.errors import SecondStepRequiredError
from authserve.mfa.sign_in_codes import SignInRequest, read_sign_in_token, request_sign_in_code
from authserve.ratelimit.throttle import record_failure, record_success, require_allowed
from authserve.ratelimit.throttle_keys import (
    ThrottleKey,
    address_key,
    device_key,
)
from authserve.settings.model import SETTINGS, Settings
from authserve.tokens.access import LiveSession
from authserve.tokens.device import Device, new_device
from authserve.tokens.refresh import Tokens
from authserve.users.credentials import Credentials, find_credentials_by_id
from authserve.users.sign_ins import record_email_login

_PROOFS = frozenset({Proof.EMAIL_CODE})

_NO_USER = UUID(int=0)
"""An id that no account has, for the look-up after a try without a live code."""


class _ChangedError(Exception):
    """Raised to roll back a sign-in whose account or code changed meanwhile."""


def request_email_code(
    email: str, *, device: Device | None, is_mail_allowed: bool, request: RequestInfo
) -> tuple[str, timedelta]:
    """Enqueue a code to an address, whether or not an account has it.

    Args:
        email: in canonical form.
        device: of the account that has the address, if the request comes from one.
        is_mail_allowed: False if a limit is exceeded; the answer is the same.
        request: what the mail names as its origin.

    Returns:
        The token with which the code is accepted, and its lifetime.
    """
    return request_sign_in_code(
        email,
        is_known_device=device is not None,
        is_mail_allowed=is_mail_allowed,
        request=request,
        public_url=SETTINGS.get().public_url,
        now=now(),
    )


def find_requester(sign_in_token: str) -> SignInRequest:
    """Return the request of a token.

    Raises:
        WrongCodeError: the token is not ours, of another kind, or expired.
    """
    settings = SETTINGS.get()
    found = read_sign_in_token(sign_in_token, public_url=settings.public_url, now=now())
    if found is None:
        raise WrongCodeError
    return found


def sign_in_with_email_code(
    requester: SignInRequest, code: str, *, device: Device | None, request: RequestInfo
) -> Tokens:
    """Sign a user in with a mailed code, and return the tokens of the new session.

    Args:
        requester, code, device, request: see `start_session_with_email_code`.

    Raises:
        SigningKeyUnavailableError: the tokens could not be signed; no session was started.
        AuthserveError: see `start_session_with_email_code`.
    """
    # First, so that no session starts if its tokens could not be signed.
    key = KEY_STORE.get().signing_key()
    session, device = start_session_with_email_code(requester, code, device=device, request=request)
    return issue_sign_in_tokens(session, key=key, device=device)


def start_session_with_email_code(
    requester: SignInRequest,
    code: str,
    *,
    device: Device | None,
    request: RequestInfo,
    cookie: NewCookie | None = None,
) -> tuple[LiveSession, Device]:
    """Start the session of a user whose mailed code is right.

    Wrong codes are counted as wrong passwords are, by the address that was submitted at the
    request, or by a known device alone.

    Args:
        requester: the request of the presented token.
        code: eight digits.
        device: see `known_devices.find_requesters_device`.
        request: for the session and the audit events.
        cookie: see `start_session`.

    Returns:
        The session, and the device that is known at the next sign-in.

    Raises:
        WrongCodeError: the code is wrong, was spent or has expired, or no code opens the
            account.
        MfaEnrollmentRequiredError: the code was right and is spent; a passkey must be set up.
        TooManyAttemptsError: too many wrong codes or passwords were counted.
    """
    attempt = _try(requester, code, device, request, cookie)
    outcome = _finish(attempt, SETTINGS.get())
    if isinstance(outcome, SignInFailure):
        _record_failure(outcome, attempt)
        raise WrongCodeError
    if isinstance(outcome, SecondStepRequiredError):
        raise outcome
    assert attempt.account is not None
    return outcome, device or new_device(outcome.user_id, attempt.account.password_version)


@frozen(kw_only=True)
class _Attempt:
    """A code that was given, and counted.

    Args:
        account: that the tried code was mailed to; None without a live code.
        code: the code, if it was right.
        device: the device, if that account knows it.
        keys: the keys that a wrong code is counted by.
        cookie: of the browser that signs in; None for an API client.
    """

    account: Credentials | None
    code: FoundCode | None
    device: Device | None
    keys: Sequence[ThrottleKey]
    request: RequestInfo
    cookie: NewCookie | None


def _try(
    requester: SignInRequest,
    code: str,
    device: Device | None,
    request: RequestInfo,
    cookie: NewCookie | None,
) -> _Attempt:
    keys = [requester.key, *address_key(request.ip)] if device is None else [device_key(device.id)]
    require_allowed(keys)
    trial = try_code(code, CodePurpose.SIGN_IN, handle=requester.handle)
    account = find_credentials_by_id(trial.user_id or _NO_USER)
    return _Attempt(
        account=account,
        code=trial.found,
        device=device,
        keys=keys,
        request=request,
        cookie=cookie,
    )


def _finish(
    attempt: _Attempt, settings: Settings
) -> LiveSession | SecondStepRequiredError | SignInFailure:
    """Start the session of a right code or the enrolment that it needs, or return its failure."""
    account, code = attempt.account, attempt.code
    if account is None or code is None:
        return SignInFailure.WRONG_EMAIL_CODE
    if not account.is_active:
        return SignInFailure.ACCOUNT_DISABLED
    moment = now()
    found = assess_first_step(account, _PROOFS, settings=settings, now=moment)
    if isinstance(found, NeedsSecond):
        # The factor was added after the code was mailed, so the code opens nothing any more.
        return SignInFailure.WRONG_EMAIL_CODE
    try:
        with transaction():
            return _store(attempt, account, code, found, settings, moment)
    except _ChangedError:
        return SignInFailure.WRONG_EMAIL_CODE


def _store(
    attempt: _Attempt,
    account: Credentials,
    code: FoundCode,
    found: Enough | NeedsEnrollment,
    settings: Settings,
    moment: datetime,
) -> LiveSession | SecondStepRequiredError:
    """Spend a code and store what follows, in the open transaction, or raise to roll both back."""
    level = found.level if isinstance(found, Enough) else None
    if not record_email_login(code.user_id, email=code.email, level=level, now=moment):
        raise _ChangedError
    if not spend_code(code):
        raise _ChangedError
    record_success(attempt.keys)
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


def _record_failure(failure: SignInFailure, attempt: _Attempt) -> None:
    """Count, audit and commit the failure before it is answered (ASVS 16.3.1).

    Raises:
        TooManyAttemptsError: a block has begun meanwhile; then no failed sign-in is audited.
    """
    subject = attempt.account.ref if attempt.account else None
    record_failure(attempt.keys, subject=subject, request=attempt.request)
    with transaction(durable=True):
        audit_failed_sign_in(failure, subject, request=attempt.request)
