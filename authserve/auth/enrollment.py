"""Enrolling an account's first factor during a sign-in that needs one.

It takes the proofs of the first step, a code from the account's mailbox and the new factor, so that
a stolen password alone adds none. The factor, both codes, the pending sign-in and the start of the
session are one transaction.
"""

from datetime import datetime

from authserve.auth.second_step import (
    REFUSALS,
    CompletedSignIn,
    device_after,
    read_live_pending,
    require_unchanged,
    start_after,
)
from authserve.auth.start_session import NewCookie, issue_sign_in_tokens
from authserve.core.actor import Actor, RequestInfo
from authserve.core.clock import now
from authserve.core.errors import ValidationFailedError
from authserve.core.frozen import frozen
from authserve.core.levels import Proof
from authserve.database.transactions import transaction
from authserve.keys.store import KEY_STORE
from authserve.mail.policy import plain_name
from authserve.mfa.answers import RegistrationAnswer
from authserve.mfa.assurance import Factors, ProofFailure, SecondStep, after_enrollment
from authserve.mfa.ceremonies import NewPasskey
from authserve.mfa.challenges import ChallengeKind, ChallengeUse
from authserve.mfa.email_codes import FoundCode
from authserve.mfa.errors import InvalidCodeError, MfaTokenInvalidError
from authserve.mfa.mailbox_proof import (
    check_mailbox_proof,
    is_mailbox_proof_needed,
    spend_mailbox_proof,
)
from authserve.mfa.own_passkeys import add_passkey
from authserve.mfa.passkeys import RefusedPasskey, check_registration
from authserve.mfa.pending import Pending, Purpose, count_attempt, spend_pending
from authserve.mfa.proving import GivenCode
from authserve.mfa.switch import Owner, lock_owner, on_factor_added
from authserve.mfa.throttle import (
    Prover,
    count_second_proof,
    forget_second_proofs,
    record_wrong_proof,
)
from authserve.mfa.totp import CheckedCode
from authserve.mfa.totp_set_up import (
    check_set_up,
    confirm_set_up,
)
from authserve.settings.model import SETTINGS, Settings
from authserve.tokens.access import LiveSession
from authserve.tokens.refresh import Tokens
from authserve.users.errors import UserNotFoundError

GivenFactor = GivenCode | RegistrationAnswer
"""A new factor as the caller confirms it: a code of the app, or a passkey."""

_NO_FACTORS = Factors()


def is_code_needed(pending: Pending) -> bool:
    """Return True if the first factor of a pending sign-in needs a code from the mailbox."""
    return Proof.EMAIL_CODE not in pending.proofs and is_mailbox_proof_needed(_NO_FACTORS)


def registration_of(pending: Pending) -> ChallengeUse:
    """Return the use of a challenge for the first passkey of a pending sign-in's account."""
    return ChallengeUse(ChallengeKind.REGISTER, pending.id)


def lock_owner_without_factor(pending: Pending) -> Owner:
    """Return the account, locked in the open transaction.

    Raises:
        MfaTokenInvalidError: it is gone, or has a factor by now.
    """
    try:
        owner = lock_owner(pending.account.ref.id)
    except UserNotFoundError as error:
        raise MfaTokenInvalidError from error
    if owner.factors.has_any:
        raise MfaTokenInvalidError
    return owner


@frozen(kw_only=True)
class _Confirmed:
    """A new factor, and perhaps a mailed code, that are right and not stored or spent yet."""

    factor: CheckedCode | NewPasskey
    name: str | None
    mailbox: FoundCode | None

    @property
    def method(self) -> SecondStep:
        is_totp = isinstance(self.factor, CheckedCode)
        return SecondStep.TOTP if is_totp else SecondStep.PASSKEY


def enroll(
    mfa_token: str,
    given: GivenFactor,
    *,
    email_code: str | None,
    name: str | None,
    request: RequestInfo,
) -> Tokens:
    """Store an account's first factor, and return the tokens of the sign-in that needed it.

    Args:
        mfa_token, given, email_code, name, request: see `start_session_with_first_factor`.

    Raises:
        SigningKeyUnavailableError: the tokens could not be signed; nothing was compared.
        AuthserveError: see `start_session_with_first_factor`.
    """
    # First, so that nothing is spent if the tokens could not be signed.
    key = KEY_STORE.get().signing_key()
    completed, codes = start_session_with_first_factor(
        mfa_token,
        given,
        email_code=email_code,
        name=name,
        request=request,
    )
    return issue_sign_in_tokens(
        completed.session,
        key=key,
        device=completed.device,
        recovery_codes=codes,
    )


def start_session_with_first_factor(
    mfa_token: str,
    given: GivenFactor,
    *,
    email_code: str | None,
    name: str | None,
    request: RequestInfo,
    cookie: NewCookie | None = None,
) -> tuple[CompletedSignIn, tuple[str, ...]]:
    """Store an account's first factor, and complete the sign-in that needed it.

    Args:
        mfa_token: of the first step.
        given: the confirmation of the factor.
        email_code: of the mail; not needed after a sign-in by mail, or without verified addresses.
        name: of a passkey.
        request: for the session and the audit events.
        cookie: see `start_session`.

    Returns:
        The completed sign-in, and the account's recovery codes, shown this once.

    Raises:
        MfaTokenInvalidError, MfaTokenExpiredError, AccountDisabledError: see
            `mfa.pending.read_pending`; also if the account has a factor by now.
        ValidationFailedError: the mailed code is needed; nothing was counted.
        WrongCodeError, InvalidPasskeyError: one of the proofs is wrong; neither is spent.
        NoSetUpError: no app is being set up in this sign-in.
        PasskeyTakenError: the passkey is registered already.
        TooManyAttemptsError: too many wrong proofs came before; nothing was compared.
        FactorUnavailableError: the app's secret cannot be decrypted.
    """
    settings, moment = SETTINGS.get(), now()
    pending = read_live_pending(mfa_token, Purpose.ENROLL, request, settings, moment)
    if email_code is None and is_code_needed(pending):
        raise ValidationFailedError({"email_code": ["Missing data for required field."]})
    prover = Prover(account=pending.account, device_id=pending.device_id, request=request)
    hits = count_second_proof(prover)
    count_attempt(pending, now=moment)
    confirmed = _check(pending, given, email_code, name, moment)
    if isinstance(confirmed, ProofFailure):
        record_wrong_proof(prover, confirmed, hits=hits)
        raise REFUSALS[confirmed]
    try:
        session, codes = _complete(pending, confirmed, prover, settings, cookie, moment)
    except InvalidCodeError as error:
        # The mailed code was spent meanwhile, or went to a former address.
        raise REFUSALS[ProofFailure.WRONG_EMAIL_CODE] from error
    completed = CompletedSignIn(
        session=session, device=device_after(pending), recovery_codes_left=len(codes)
    )
    return completed, codes


def _check(
    pending: Pending,
    given: GivenFactor,
    email_code: str | None,
    name: str | None,
    moment: datetime,
) -> _Confirmed | ProofFailure:
    mailbox = None
    # First, so that a wrong mailed code does not spend a passkey's challenge.
    if is_code_needed(pending):
        try:
            mailbox = check_mailbox_proof(
                email_code,
                user_id=pending.account.ref.id,
                factors=_NO_FACTORS,
                bound_to=pending.id,
            )
        except InvalidCodeError:
            return ProofFailure.WRONG_EMAIL_CODE
    factor = _check_factor(pending, given, moment)
    if isinstance(factor, ProofFailure):
        return factor
    return _Confirmed(factor=factor, name=name, mailbox=mailbox)


def _check_factor(
    pending: Pending, given: GivenFactor, moment: datetime
) -> CheckedCode | NewPasskey | ProofFailure:
    if isinstance(given, RegistrationAnswer):
        made = check_registration(given, registration_of(pending), now=moment)
        return made.failure if isinstance(made, RefusedPasskey) else made
    owner_id = pending.account.ref.id
    try:
        return check_set_up(owner_id, given.code, bound_to=pending.id, now=moment)
    except InvalidCodeError:
        return ProofFailure.WRONG_CODE


def _complete(
    pending: Pending,
    confirmed: _Confirmed,
    prover: Prover,
    settings: Settings,
    cookie: NewCookie | None,
    moment: datetime,
) -> tuple[LiveSession, tuple[str, ...]]:
    """Store the factor, spend everything and start the session, in one transaction.

    Returns:
        The session, and the new recovery codes.

    Raises:
        MfaTokenInvalidError: the account, or the sign-in, has changed meanwhile.
        NoSetUpError, PasskeyTakenError: see `enroll`.
    """
    request, actor = prover.request, Actor(user=pending.account.ref)
    proofs = pending.proofs | ({Proof.EMAIL_CODE} if confirmed.mailbox is not None else set())
    with transaction():
        require_unchanged(pending, moment)
        owner = lock_owner_without_factor(pending)
        shown_name = _store(owner, confirmed, actor, request, moment)
        if is_code_needed(pending):
            spend_mailbox_proof(owner, confirmed.mailbox, actor=actor, request=request)
        if not spend_pending(pending, now=moment):
            raise MfaTokenInvalidError
        forget_second_proofs(prover)
        added = on_factor_added(
            owner, confirmed.method, name=shown_name, keep=None, actor=actor, request=request
        )
        found = after_enrollment(proofs, confirmed.method)
        session = start_after(pending, found, request, settings, cookie, moment)
    return session, added.recovery_codes or ()


def _store(
    owner: Owner, confirmed: _Confirmed, actor: Actor, request: RequestInfo, moment: datetime
) -> str:
    """Store the factor in the open transaction; return the name that mails give it."""
    factor = confirmed.factor
    if isinstance(factor, CheckedCode):
        confirm_set_up(owner, factor, actor=actor, request=request, now=moment)
        return ""
    made = add_passkey(owner.ref.id, factor, name=confirmed.name, now=moment)
    return plain_name(made.name)
