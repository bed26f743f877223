"""Second proofs: checking one before the transaction of a call, and spending it inside.

Sign-ins and step-ups do it alike:

    proven = prove(given, prover, use=use, now=moment)   # a `Proven`, or a `ProofFailure`
    try:
        with transaction():
            spend(proven, now=moment)           # raises `UnspentError`, so all is rolled back
    except UnspentError:
        failure = explain_unspent(proven, now=moment)
"""

from dataclasses import field
from datetime import datetime

from authserve.core.events import AuditAction
from authserve.core.frozen import frozen
from authserve.core.levels import Proof
from authserve.database.emit import emit
from authserve.mail.notices import notify
from authserve.mail.policy import MailKind
from authserve.mfa import passkeys
from authserve.mfa.answers import AssertionAnswer
from authserve.mfa.assurance import ProofFailure
from authserve.mfa.challenges import ChallengeUse
from authserve.mfa.passkeys import ProvenPasskey, RefusedPasskey
from authserve.mfa.pending import Pending, count_attempt
from authserve.mfa.recovery_codes import (
    CheckedRecoveryCode,
    check_recovery_code,
    find_code_set,
    spend_recovery_code,
)
from authserve.mfa.reset import cancel_reset
from authserve.mfa.throttle import (
    Prover,
    count_second_proof,
    forget_second_proofs,
    record_wrong_proof,
)
from authserve.mfa.totp import (
    CheckedCode,
    StoredTotp,
    check_code,
    find_totp,
    spend_step,
    unseal,
)


@frozen()
class GivenCode:
    """A code of an authenticator app, as typed; `totp.CODE_DIGITS` digits."""

    code: str = field(repr=False)


@frozen()
class GivenRecoveryCode:
    """A recovery code, as typed."""

    code: str = field(repr=False)


GivenProof = GivenCode | GivenRecoveryCode | AssertionAnswer
"""A second proof as the caller gave it."""

_Checked = CheckedCode | CheckedRecoveryCode | ProvenPasskey


@frozen(kw_only=True)
class Proven:
    """A right second proof that is not spent yet.

    Args:
        prover: the caller.
        proof: its kind.
        checked: from the check of its kind.
        hits: from `throttle.count_second_proof`.
    """

    prover: Prover
    proof: Proof
    checked: _Checked
    hits: int


def kind_of(given: GivenProof) -> Proof:
    """Return what a second proof is, as sessions name it."""
    match given:
        case GivenCode():
            return Proof.TOTP
        case GivenRecoveryCode():
            return Proof.RECOVERY_CODE
        case AssertionAnswer():
            return Proof.PASSKEY


class UnspentError(Exception):
    """Raised to roll back a transaction whose second proof another caller has spent meanwhile."""


def prove(
    given: GivenProof,
    prover: Prover,
    *,
    use: ChallengeUse,
    pending: Pending | None = None,
    now: datetime,
) -> Proven | ProofFailure:
    """Check a second proof, which is counted before it is compared; a wrong one is audited.

    Args:
        given: the proof.
        prover: the caller.
        use: the call that a passkey's challenge must be for.
        pending: the sign-in that waits for the proof, which counts the attempt too; None for a
            step-up.
        now: the time of the call.

    Raises:
        TooManyAttemptsError: too many were wrong; nothing was compared.
        FactorUnavailableError: the TOTP secret cannot be decrypted; nothing was counted.
        MfaTokenInvalidError: the pending sign-in is over, or had too many attempts.
        TransactionNestingError: a transaction is open.
    """
    # First, so that no attempt is counted if no code could be right.
    totp = _find_totp(prover, now) if isinstance(given, GivenCode) else None
    hits = count_second_proof(prover)
    if pending is not None:
        count_attempt(pending, now=now)
    checked = _check(given, prover, hits, totp, use, now)
    if isinstance(checked, ProofFailure):
        record_wrong_proof(prover, checked, hits=hits)
        return checked
    return Proven(prover=prover, proof=kind_of(given), checked=checked, hits=hits)


def _find_totp(prover: Prover, now: datetime) -> StoredTotp | None:
    """Return the account's TOTP secret, if it has one that can be decrypted.

    Raises:
        FactorUnavailableError: it cannot.
    """
    found = find_totp(prover.account.ref.id, now=now)
    if found is not None:
        unseal(found.id, found.secret)
    return found


def _check(
    given: GivenProof,
    prover: Prover,
    hits: int,
    totp: StoredTotp | None,
    use: ChallengeUse,
    now: datetime,
) -> _Checked | ProofFailure:
    owner = prover.account.ref.id
    match given:
        case GivenCode() if not prover.accepts_codes(hits):
            return ProofFailure.SWITCHED_OFF
        case GivenCode(code):
            return check_code(totp, code) if totp is not None else ProofFailure.WRONG_CODE
        case GivenRecoveryCode(code):
            return check_recovery_code(owner, code)
    found = passkeys.check_assertion(given, use, account=owner, now=now)
    return found.failure if isinstance(found, RefusedPasskey) else found


def spend(proven: Proven, *, now: datetime) -> None:
    """Spend a second proof and clear the caller's counter, in the open transaction.

    The transaction holds the lock on the user's row. A pending reset by an administrator has become
    needless and is cancelled. The owner gets a mail about a recovery code (NIST SP 800-63B-4 §4.2).

    Raises:
        UnspentError: another caller has spent it, or its factor is gone; the transaction must not
            go on.
    """
    match proven.checked:
        case CheckedCode() as checked:
            is_spent = spend_step(checked, now=now)
        case CheckedRecoveryCode() as checked:
            is_spent = spend_recovery_code(checked, now=now)
        case ProvenPasskey() as checked:
            is_spent = passkeys.spend_assertion(checked, now=now)
    if not is_spent:
        raise UnspentError
    prover = proven.prover
    forget_second_proofs(prover)
    cancel_reset(prover.account, actor=prover.actor, request=prover.request)
    if proven.proof is Proof.RECOVERY_CODE:
        _report_recovery_code(prover)


def _report_recovery_code(prover: Prover) -> None:
    account = prover.account
    left = find_code_set(account.ref.id).left
    emit(
        AuditAction.RECOVERY_CODES_USED,
        actor=prover.actor,
        subject=account.ref,
        request=prover.request,
        details={"left": left},
    )
    values = {"left": left}
    notify(MailKind.RECOVERY_CODE_USED, account.email, account.ref.id, values=values)


def explain_unspent(proven: Proven, *, now: datetime) -> ProofFailure:
    """Return why a proof was not spent, after its transaction was rolled back; audit it.

    It counts as a wrong one does.

    Raises:
        TransactionNestingError: a transaction is open.
    """
    match proven.checked:
        case CheckedCode():
            failure = ProofFailure.CODE_REUSED
        case CheckedRecoveryCode():
            failure = ProofFailure.WRONG_RECOVERY_CODE
        case ProvenPasskey() as checked:
            request = proven.prover.request
            failure = passkeys.explain_unspent(checked, request=request, now=now)
    record_wrong_proof(proven.prover, failure, hits=proven.hits)
    return failure
