"""The use case of a sign-in with a passkey alone, which is two factors by itself."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from authserve.auth.failed_sign_in import audit_failed_sign_in
from authserve.auth.known_devices import is_device_of
from authserve.auth.policy import SignInFailure, check_account
from authserve.auth.second_step import CompletedSignIn, read_live_pending
from authserve.auth.start_session import NewCookie, issue_sign_in_tokens, start_session
from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.clock import now
from authserve.core.errors import AuthserveError
from authserve.core.levels import Level, Proof
from authserve.database.transactions import transaction
from authserve.keys.store import KEY_STORE
from authserve.mfa.answers import AssertionAnswer
from authserve.mfa.assurance import Enough, Factors, assess
from authserve.mfa.challenges import SIGN_IN, ChallengeKind, ChallengeUse
from authserve.mfa.errors import InvalidPasskeyError, UnknownPasskeyError
from authserve.mfa.passkey_options import request_options
from authserve.mfa.passkeys import (
    ProvenPasskey,
    RefusedPasskey,
    check_assertion,
    explain_unspent,
    spend_assertion,
)
from authserve.mfa.pending import Purpose
from authserve.mfa.recovery_codes import find_code_set
from authserve.mfa.reset import cancel_reset
from authserve.settings.model import SETTINGS, EmailVerification, Settings
from authserve.tokens.device import Device, new_device
from authserve.tokens.refresh import Tokens
from authserve.users.credentials import Credentials, find_credentials_by_id
from authserve.users.errors import AccountDisabledError, EmailNotVerifiedError
from authserve.users.sign_ins import record_passkey_login

_REFUSALS: dict[SignInFailure, type[AuthserveError]] = {
    SignInFailure.UNKNOWN_PASSKEY: UnknownPasskeyError,
    SignInFailure.PASSKEY_REFUSED: InvalidPasskeyError,
    SignInFailure.PASSKEY_FLAGGED: InvalidPasskeyError,
    SignInFailure.ACCOUNT_DISABLED: AccountDisabledError,
    SignInFailure.EMAIL_NOT_VERIFIED: EmailNotVerifiedError,
}


class _AccountChangedError(Exception):
    """Raised to roll back a sign-in whose account changed meanwhile."""


class _UnspentError(Exception):
    """Raised to roll back a sign-in whose passkey was not spent."""


def sign_in_with_passkey(
    answer: AssertionAnswer, *, device: Device | None, request: RequestInfo
) -> Tokens:
    """Sign a user in with a passkey, and return the tokens of the new session.

    Args:
        answer, device, request: see `start_session_with_passkey`.

    Raises:
        SigningKeyUnavailableError: the tokens could not be signed; no session was started.
        AuthserveError: see `start_session_with_passkey`.
    """
    # First, so that no session starts if its tokens could not be signed.
    key = KEY_STORE.get().signing_key()
    completed = start_session_with_passkey(answer, device=device, request=request)
    return issue_sign_in_tokens(
        completed.session,
        key=key,
        device=completed.device,
        recovery_codes_left=completed.recovery_codes_left,
    )


def start_session_with_passkey(
    answer: AssertionAnswer,
    *,
    device: Device | None,
    request: RequestInfo,
    cookie: NewCookie | None = None,
) -> CompletedSignIn:
    """Start the session of a user whose passkey is right.

    No throttle counts it: a signature cannot be guessed, and a stranger must not lock it.

    Args:
        answer: the browser's answer to options for a sign-in.
        device: from a valid device token; it stays known if it is the account's own.
        request: for the session and the audit events.
        cookie: see `start_session`.

    Raises:
        UnknownPasskeyError: the service has no passkey with this id.
        InvalidPasskeyError: the answer breaks a rule, or the passkey is suspected to be a clone.
        AccountDisabledError, EmailNotVerifiedError: the passkey was right.
    """
    moment = now()
    checked = check_assertion(answer, SIGN_IN, account=None, now=moment)
    if isinstance(checked, RefusedPasskey):
        raise _refuse(SignInFailure(checked.failure), checked.user_id, request)
    outcome = _start(checked, device, request, SETTINGS.get(), cookie, moment)
    if isinstance(outcome, SignInFailure):
        raise _refuse(outcome, checked.user_id, request)
    return outcome


def _start(
    proven: ProvenPasskey,
    device: Device | None,
    request: RequestInfo,
    settings: Settings,
    cookie: NewCookie | None,
    moment: datetime,
) -> CompletedSignIn | SignInFailure:
    """Start a session, or return what prevents it."""
    account = find_credentials_by_id(proven.user_id)
    failure = _check(account, settings)
    if account is None or failure is not None:
        return failure or SignInFailure.UNKNOWN_PASSKEY
    known = device if device is not None and is_device_of(device, account) else None
    try:
        with transaction():
            _record(proven, account, settings, moment)
            cancel_reset(account, actor=VISITOR, request=request)
            session = start_session(
                account,
                found=_assess(),
                is_known_device=known is not None,
                request=request,
                settings=settings,
                now=moment,
                cookie=cookie,
            )
            codes_left = find_code_set(session.user_id).left
    except _AccountChangedError:
        return (
            _check(find_credentials_by_id(proven.user_id), settings)
            or SignInFailure.PASSKEY_REFUSED
        )
    except _UnspentError:
        return SignInFailure(explain_unspent(proven, request=request, now=moment))
    device = known or new_device(session.user_id, account.password_version)
    return CompletedSignIn(
        session=session,
        # A passkey is a second factor too.
        device=replace(device, has_second_factor=True),
        recovery_codes_left=codes_left,
    )


def _record(
    proven: ProvenPasskey, account: Credentials, settings: Settings, moment: datetime
) -> None:
    """Record the sign-in and spend the passkey, or raise to roll both back."""
    needs_verified_email = settings.email_verification is EmailVerification.REQUIRED
    if not record_passkey_login(
        account.ref.id, needs_verified_email=needs_verified_email, now=moment
    ):
        raise _AccountChangedError
    if not spend_assertion(proven, now=moment):
        raise _UnspentError


def _assess() -> Enough:
    found = assess({Proof.PASSKEY}, need=Level.PHR, factors=Factors())
    assert isinstance(found, Enough)
    return found


def _check(account: Credentials | None, settings: Settings) -> SignInFailure | None:
    if account is None:
        return SignInFailure.UNKNOWN_PASSKEY
    return check_account(account, verification=settings.email_verification)


def _refuse(failure: SignInFailure, user_id: UUID | None, request: RequestInfo) -> AuthserveError:
    """Audit a failure, commit, and return the error to raise (ASVS 16.3.1)."""
    account = find_credentials_by_id(user_id) if user_id else None
    with transaction(durable=True):
        subject = account.ref if account else None
        audit_failed_sign_in(failure, subject, request=request)
    return _REFUSALS[failure]()


def second_step_options(mfa_token: str, *, request: RequestInfo) -> dict[str, Any]:
    """Return options to complete a sign-in with a usable passkey of its account.

    Raises:
        MfaTokenInvalidError, MfaTokenExpiredError, AccountDisabledError: see
            `second_step.read_live_pending`.
    """
    settings, moment = SETTINGS.get(), now()
    pending = read_live_pending(mfa_token, Purpose.VERIFY, request, settings, moment)
    use = ChallengeUse(ChallengeKind.VERIFY, pending.id)
    return request_options(use, user_id=pending.account.ref.id, now=moment)
