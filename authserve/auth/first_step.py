"""The end of a sign-in's first step: it is enough, or a second step or an enrolment follows."""

from collections.abc import Collection
from datetime import datetime, timedelta

from authserve.auth.start_session import NewCookie, start_session
from authserve.core.actor import RequestInfo
from authserve.core.levels import Level, Proof
from authserve.mfa.assurance import (
    Assessment,
    Enough,
    Factors,
    NeedsEnrollment,
    NeedsSecond,
    SecondStep,
    assess,
    need_of,
)
from authserve.mfa.email_codes import request_enrollment_code
from authserve.mfa.errors import MfaEnrollmentRequiredError, SecondStepRequiredError
from authserve.mfa.factors import find_factors
from authserve.mfa.pending import LIFETIMES, Purpose, begin_pending
from authserve.settings.model import EmailVerification, Settings
from authserve.tokens.access import LiveSession
from authserve.tokens.device import Device
from authserve.users.credentials import Credentials


def assess_first_step(
    account: Credentials,
    proofs: Collection[Proof],
    *,
    settings: Settings,
    now: datetime,
    provider_level: Level = Level.AAL1,
) -> Assessment:
    """Return what these proofs of an account lead to; no transaction needs to be open.

    Args:
        account: as read before the proofs were verified.
        proofs: those that were verified.
        settings: for what every account needs.
        now: the time of the sign-in.
        provider_level: see `mfa.assurance.worth`.
    """
    need = need_of(mfa_enabled=account.mfa_enabled, settings=settings, now=now)
    # Most accounts need no second factor, so their sign-in reads none.
    factors = Factors() if need is Level.AAL1 else find_factors(account.ref.id)
    return assess(proofs, need=need, factors=factors, provider_level=provider_level)


def is_mail_expected(settings: Settings) -> bool:
    """Return True if the service is sure enough of its mail to ask for a mailed code."""
    return settings.email_verification is not EmailVerification.OFF


def finish_first_step(
    account: Credentials,
    found: Assessment,
    *,
    proofs: Collection[Proof],
    device: Device | None,
    request: RequestInfo,
    settings: Settings,
    now: datetime,
    cookie: NewCookie | None,
    provider: str | None = None,
    auth_time: datetime | None = None,
) -> LiveSession | SecondStepRequiredError:
    """Start the session of a first step, or begin the second step that its account needs.

    Both happen in the open transaction, which must hold the lock on the user's row.

    Args:
        account: as read before the proofs were verified.
        found: what `assess_first_step` found.
        proofs: those that were verified.
        device: the device, if the account knows it.
        request, settings, now, cookie, provider, auth_time: see `start_session`.

    Returns:
        The session, or the error to raise once the transaction has committed.
    """
    if isinstance(found, Enough):
        return start_session(
            account,
            found=found,
            is_known_device=device is not None,
            request=request,
            settings=settings,
            now=now,
            cookie=cookie,
            provider=provider,
            auth_time=auth_time,
        )
    return _begin_second_step(
        account,
        found,
        proofs=proofs,
        device_id=device.id if device is not None and device.has_second_factor else None,
        request=request,
        settings=settings,
        now=now,
        provider=provider,
    )


def _begin_second_step(
    account: Credentials,
    found: NeedsSecond | NeedsEnrollment,
    *,
    proofs: Collection[Proof],
    device_id: str | None,
    request: RequestInfo,
    settings: Settings,
    now: datetime,
    provider: str | None,
) -> SecondStepRequiredError:
    """Store a pending sign-in, and return the error that carries its `mfa_token`.

    An enrolment after a password or a provider needs a code from the account's mailbox, which is
    mailed: else a stolen password could add a factor that outlives every new password.
    """
    is_enrollment = isinstance(found, NeedsEnrollment)
    purpose = Purpose.ENROLL if is_enrollment else Purpose.VERIFY
    pending_id, token = begin_pending(
        account,
        purpose=purpose,
        proofs=proofs,
        device_id=device_id,
        request=request,
        settings=settings,
        now=now,
        provider=provider,
    )
    is_mailbox_proven = Proof.EMAIL_CODE in proofs
    if is_enrollment and not is_mailbox_proven and is_mail_expected(settings):
        request_enrollment_code(
            account.ref, email=account.email, bound_to=pending_id, request=request
        )
    error = MfaEnrollmentRequiredError if is_enrollment else SecondStepRequiredError
    lifetime_secs = LIFETIMES[purpose] // timedelta(seconds=1)
    methods = [
        each for each in found.methods if each is not SecondStep.PASSKEY or settings.passkey_rp_id
    ]
    return error(methods, mfa_token=token, expires_in_secs=lifetime_secs)
