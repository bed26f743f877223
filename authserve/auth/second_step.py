"""The second step of a sign-in, after `first_step.py`: verifying a second proof."""

import logging
from datetime import datetime

from authserve.auth.errors import ReusedCodeError, WrongCodeError
from authserve.auth.start_session import NewCookie, issue_sign_in_tokens, start_session
from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.clock import now
from authserve.core.errors import AuthserveError
from authserve.core.events import AuditAction, Outcome
from authserve.core.frozen import frozen
from authserve.core.levels import Level
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.keys.store import KEY_STORE
from authserve.mfa.assurance import Enough, Factors, ProofFailure, assess
from authserve.mfa.challenges import ChallengeKind, ChallengeUse
from authserve.mfa.errors import DeadPendingError, InvalidPasskeyError, MfaTokenInvalidError
from authserve.mfa.pending import (
    Pending,
    Purpose,
    read_pending,
    spend_pending,
)
from authserve.mfa.proving import (
    GivenProof,
    Proven,
    UnspentError,
    explain_unspent,
    prove,
    spend,
)
from authserve.mfa.recovery_codes import find_code_set
from authserve.mfa.throttle import Prover
from authserve.settings.model import SETTINGS, Settings
from authserve.tokens.access import LiveSession
from authserve.tokens.device import Device, new_device
from authserve.tokens.refresh import Tokens
from authserve.users.sign_ins import record_second_step

logger = logging.getLogger(__name__)

REFUSALS: dict[ProofFailure, type[AuthserveError]] = {
    ProofFailure.WRONG_CODE: WrongCodeError,
    ProofFailure.CODE_REUSED: ReusedCodeError,
    ProofFailure.WRONG_RECOVERY_CODE: WrongCodeError,
    # A difference would tell a stranger who knows the password that more guesses are in vain.
    ProofFailure.SWITCHED_OFF: WrongCodeError,
    ProofFailure.UNKNOWN_PASSKEY: InvalidPasskeyError,
    ProofFailure.PASSKEY_REFUSED: InvalidPasskeyError,
    ProofFailure.PASSKEY_FLAGGED: InvalidPasskeyError,
    ProofFailure.WRONG_EMAIL_CODE: WrongCodeError,
}
"""The error that answers each failure during a sign-in."""


@frozen(kw_only=True)
class CompletedSignIn:
    """A sign-in that has reached two factors.

    Args:
        session: the new session.
        device: the device that is known at the next sign-in.
        recovery_codes_left: the number of unused recovery codes.
    """

    session: LiveSession
    device: Device
    recovery_codes_left: int


def verify_second_step(mfa_token: str, given: GivenProof, *, request: RequestInfo) -> Tokens:
    """Complete a sign-in with a second proof, and return the tokens of the new session.

    Args:
        mfa_token, given, request: see `start_session_with_second_proof`.

    Raises:
        SigningKeyUnavailableError: the tokens could not be signed; nothing was compared.
        AuthserveError: see `start_session_with_second_proof`.
    """
    # First, so that nothing is spent if the tokens could not be signed.
    key = KEY_STORE.get().signing_key()
    completed = start_session_with_second_proof(mfa_token, given, request=request)
    return issue_sign_in_tokens(
        completed.session,
        key=key,
        device=completed.device,
        recovery_codes_left=completed.recovery_codes_left,
    )


def start_session_with_second_proof(
    mfa_token: str,
    given: GivenProof,
    *,
    request: RequestInfo,
    cookie: NewCookie | None = None,
) -> CompletedSignIn:
    """Start the session of a pending sign-in whose second proof is right.

    The new session, the pending sign-in and the proof are one transaction, so a caller that loses a
    race spends nothing.

    Args:
        mfa_token: of the first step.
        given: the second proof.
        request: for the session and the audit events.
        cookie: see `start_session`.

    Raises:
        MfaTokenInvalidError, MfaTokenExpiredError: see `mfa.pending.read_pending`.
        AccountDisabledError: the account was deactivated since the first step.
        WrongCodeError, ReusedCodeError, InvalidPasskeyError: the proof is wrong, or its code or its
            time step is spent.
        TooManyAttemptsError: too many wrong proofs came before; this one was not compared.
        FactorUnavailableError: the TOTP secret cannot be decrypted.
    """
    settings, moment = SETTINGS.get(), now()
    pending = read_live_pending(mfa_token, Purpose.VERIFY, request, settings, moment)
    prover = Prover(account=pending.account, device_id=pending.device_id, request=request)
    proven = prove(
        given,
        prover,
        use=ChallengeUse(ChallengeKind.VERIFY, pending.id),
        pending=pending,
        now=moment,
    )
    if isinstance(proven, ProofFailure):
        raise REFUSALS[proven]
    try:
        return _start(pending, proven, request, settings, cookie, moment)
    except UnspentError as error:
        raise REFUSALS[explain_unspent(proven, now=moment)] from error


def read_live_pending(
    mfa_token: str, purpose: Purpose, request: RequestInfo, settings: Settings, moment: datetime
) -> Pending:
    """Return the pending sign-in of a token; audit the use of one that is over.

    Raises:
        MfaTokenInvalidError, MfaTokenExpiredError, AccountDisabledError: see
            `mfa.pending.read_pending`.
    """
    try:
        return read_pending(mfa_token, purpose, settings=settings, now=moment)
    except DeadPendingError as error:
        reason = ProofFailure.PENDING_SIGN_IN_DEAD
        logger.info("second factor refused", extra={"reason": reason})
        with transaction(durable=True):
            emit(
                AuditAction.SESSION_SECOND_FACTOR_FAILED,
                outcome=Outcome.FAILURE,
                actor=VISITOR,
                subject=error.account.ref,
                request=request,
                details={"reason": reason},
            )
        raise


def device_after(pending: Pending) -> Device:
    """Return the device that is known from now on: that of the first step, or a new one."""
    user_id, version = pending.account.ref.id, pending.account.password_version
    if pending.device_id is None:
        return new_device(user_id, version, has_second_factor=True)
    return Device(user_id, pending.device_id, version, has_second_factor=True)


def _start(
    pending: Pending,
    proven: Proven,
    request: RequestInfo,
    settings: Settings,
    cookie: NewCookie | None,
    moment: datetime,
) -> CompletedSignIn:
    """Spend everything and start the session, in one transaction; nothing can fail after it.

    Raises:
        UnspentError: the proof was spent meanwhile.
        MfaTokenInvalidError: the sign-in was completed or ended meanwhile.
    """
    found = assess({*pending.proofs, proven.proof}, need=Level.AAL2, factors=Factors())
    if not isinstance(found, Enough):
        # The proofs are right, but do not add up to two factors.
        raise MfaTokenInvalidError
    with transaction():
        require_unchanged(pending, moment)
        spend(proven, now=moment)
        if not spend_pending(pending, now=moment):
            raise MfaTokenInvalidError
        session = start_after(pending, found, request, settings, cookie, moment)
        return CompletedSignIn(
            session=session,
            device=device_after(pending),
            recovery_codes_left=find_code_set(session.user_id).left,
        )


def require_unchanged(pending: Pending, moment: datetime) -> None:
    """Record the sign-in in the user's row and lock it, in the open transaction.

    Raises:
        MfaTokenInvalidError: the account was deactivated or deleted since the pending sign-in was
            read, or has another password; the transaction must not go on.
    """
    account = pending.account
    if not record_second_step(
        account.ref.id, verified_version=account.password_version, now=moment
    ):
        raise MfaTokenInvalidError


def start_after(
    pending: Pending,
    found: Enough,
    request: RequestInfo,
    settings: Settings,
    cookie: NewCookie | None,
    moment: datetime,
) -> LiveSession:
    """Start the session of a completed sign-in, in the open transaction."""
    account = pending.account
    return start_session(
        account,
        found=found,
        is_known_device=pending.device_id is not None,
        request=request,
        settings=settings,
        now=moment,
        cookie=cookie,
        provider=pending.provider,
    )
