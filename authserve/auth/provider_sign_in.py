"""The use case of a sign-in by another provider: one factor, or two if its word is trusted."""

from collections.abc import Callable
from dataclasses import field
from datetime import datetime
from uuid import UUID

from authserve.auth.errors import UnlinkedIdentityError
from authserve.auth.failed_sign_in import audit_failed_sign_in
from authserve.auth.first_step import assess_first_step, finish_first_step
from authserve.auth.known_devices import is_device_of
from authserve.auth.policy import SignInFailure, check_account
from authserve.auth.start_session import NewCookie
from authserve.core.actor import RequestInfo
from authserve.core.clock import now
from authserve.core.errors import AuthserveError
from authserve.core.frozen import frozen
from authserve.core.levels import Level, Proof
from authserve.database.transactions import transaction
from authserve.mfa.assurance import Assessment, Enough
from authserve.mfa.errors import SecondStepRequiredError
from authserve.settings.model import SETTINGS, EmailVerification, Settings
from authserve.tokens.access import LiveSession
from authserve.tokens.device import Device, new_device
from authserve.users.credentials import Credentials, find_credentials_by_id
from authserve.users.errors import AccountDisabledError, EmailNotVerifiedError
from authserve.users.sign_ins import record_provider_login

_PROOFS = frozenset({Proof.PROVIDER})

_REFUSALS: dict[SignInFailure, type[AuthserveError]] = {
    SignInFailure.UNLINKED_IDENTITY: UnlinkedIdentityError,
    SignInFailure.ACCOUNT_DISABLED: AccountDisabledError,
    SignInFailure.EMAIL_NOT_VERIFIED: EmailNotVerifiedError,
}


class _AccountChangedError(Exception):
    """Raised to roll back a sign-in whose account changed meanwhile."""


class _UnlinkedError(Exception):
    """Raised to roll back a sign-in whose identity is not the account's."""


@frozen(kw_only=True)
class ProvenIdentity:
    """An identity of an account that its provider has just confirmed.

    Args:
        user_id: the account.
        provider: the slug of the provider.
        has_two_factors: True if the provider asked for two factors, and is trusted to say so.
        claim: called once in the transaction of the sign-in, which holds the lock on the user's
            row, with the time of the sign-in. It records the use of the identity, and returns
            False if that is not the account's; then nothing is stored.
        auth_time: of the former sign-in there by which the user came; None if they have just
            signed in there, or the provider does not say.
    """

    user_id: UUID
    provider: str
    has_two_factors: bool
    claim: Callable[[datetime], bool] = field(repr=False)
    auth_time: datetime | None = None


def start_session_with_provider(
    proven: ProvenIdentity,
    *,
    device: Device | None,
    request: RequestInfo,
    cookie: NewCookie | None = None,
) -> tuple[LiveSession, Device]:
    """Start the session of a user whom a provider has just identified.

    No throttle counts it: a provider's answer cannot be guessed. It never reactivates an account,
    and says nothing of who guesses its password.

    Args:
        device: from a valid device token; it stays known if it is the account's own.
        request: for the session and the audit events.
        cookie: see `start_session`.

    Returns:
        The session, and the device that is known at the next sign-in.

    Raises:
        UnlinkedIdentityError: the account is gone, or the identity is not its own any more.
        AccountDisabledError, EmailNotVerifiedError: the identity was the account's.
        SecondStepRequiredError: the account needs a second factor.
    """
    account = find_credentials_by_id(proven.user_id)
    known = device if device is not None and is_device_of(device, account) else None
    attempt = _Attempt(proven=proven, device=known, request=request, cookie=cookie)
    outcome = _start(attempt, account, SETTINGS.get())
    if isinstance(outcome, SignInFailure):
        raise _refuse(outcome, attempt)
    if isinstance(outcome, SecondStepRequiredError):
        raise outcome
    assert account is not None
    return outcome, known or new_device(outcome.user_id, account.password_version)


@frozen(kw_only=True)
class _Attempt:
    """A sign-in in progress.

    Args:
        device: the device, if the account knows it.
        cookie: of the browser that signs in; None for an API client.
    """

    proven: ProvenIdentity
    device: Device | None
    request: RequestInfo
    cookie: NewCookie | None


def _start(
    attempt: _Attempt, account: Credentials | None, settings: Settings
) -> LiveSession | SecondStepRequiredError | SignInFailure:
    """Start the session or the second step that it needs, or return what prevents both."""
    failure = _check(account, settings)
    if account is None or failure is not None:
        return failure or SignInFailure.UNLINKED_IDENTITY
    level = Level.AAL2 if attempt.proven.has_two_factors else Level.AAL1
    moment = now()
    found = assess_first_step(account, _PROOFS, settings=settings, now=moment, provider_level=level)
    try:
        with transaction():
            return _store(attempt, account, found, settings, moment)
    except _UnlinkedError:
        return SignInFailure.UNLINKED_IDENTITY
    except _AccountChangedError:
        changed = find_credentials_by_id(account.ref.id)
    failure = _check(changed, settings)
    if failure is None and changed is not None and changed.mfa_enabled > account.mfa_enabled:
        # The second factor was switched on meanwhile, so the identity is not enough now.
        return _start(attempt, changed, settings)
    return failure or SignInFailure.UNLINKED_IDENTITY


def _store(
    attempt: _Attempt,
    account: Credentials,
    found: Assessment,
    settings: Settings,
    moment: datetime,
) -> LiveSession | SecondStepRequiredError:
    """Store what follows, in the open transaction, or raise to roll it back."""
    proven = attempt.proven
    if not record_provider_login(
        account.ref.id,
        needs_verified_email=settings.email_verification is EmailVerification.REQUIRED,
        level=found.level if isinstance(found, Enough) else None,
        now=moment,
    ):
        raise _AccountChangedError
    if not proven.claim(moment):
        raise _UnlinkedError
    return finish_first_step(
        account,
        found,
        proofs=_PROOFS,
        device=attempt.device,
        request=attempt.request,
        settings=settings,
        now=moment,
        cookie=attempt.cookie,
        provider=proven.provider,
        auth_time=proven.auth_time,
    )


def _check(account: Credentials | None, settings: Settings) -> SignInFailure | None:
    if account is None:
        return SignInFailure.UNLINKED_IDENTITY
    return check_account(account, verification=settings.email_verification)


def _refuse(failure: SignInFailure, attempt: _Attempt) -> AuthserveError:
    """Audit a failure, commit, and return the error to raise (ASVS 16.3.1)."""
    account = find_credentials_by_id(attempt.proven.user_id)
    with transaction(durable=True):
        audit_failed_sign_in(
            failure,
            account.ref if account else None,
            request=attempt.request,
            provider=attempt.proven.provider,
        )
    return _REFUSALS[failure]()
