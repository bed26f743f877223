"""The use case that freshens a session, and steps it up to a higher level."""

from uuid import UUID

from authserve.auth.current_session import get_live_session
from authserve.core.actor import Actor, RequestInfo
from authserve.core.clock import now
from authserve.core.errors import AuthserveError, StepUpRequiredError
from authserve.core.levels import Level, Proof
from authserve.database.transactions import transaction
from authserve.keys.store import KEY_STORE
from authserve.mfa.assurance import (
    Factors,
    ProofFailure,
    SecondStep,
    is_mfa_required,
    need_of,
    second_steps,
    worth,
)
from authserve.mfa.challenges import ChallengeKind, ChallengeUse
from authserve.mfa.errors import (
    CodeReusedError,
    InvalidCodeError,
    MfaRequiredError,
    WrongPasskeyError,
)
from authserve.mfa.factors import find_factors
from authserve.mfa.proving import (
    GivenProof,
    Proven,
    UnspentError,
    explain_unspent,
    kind_of,
    prove,
    spend,
)
from authserve.mfa.throttle import Prover
from authserve.sessions.renew import renew_authentication
from authserve.settings.model import SETTINGS
from authserve.tokens.access import AccessToken, issue_access_token
from authserve.users.accounts import lock_user
from authserve.users.credentials import Credentials, get_credentials
from authserve.users.passwords import confirm_password

REFUSALS: dict[ProofFailure, type[AuthserveError]] = {
    ProofFailure.WRONG_CODE: InvalidCodeError,
    ProofFailure.CODE_REUSED: CodeReusedError,
    ProofFailure.WRONG_RECOVERY_CODE: InvalidCodeError,
    ProofFailure.UNKNOWN_PASSKEY: WrongPasskeyError,
    ProofFailure.PASSKEY_REFUSED: WrongPasskeyError,
    ProofFailure.PASSKEY_FLAGGED: WrongPasskeyError,
}
"""The error that answers each failure of a signed-in user."""

_PROOFS = {
    SecondStep.PASSKEY: Proof.PASSKEY,
    SecondStep.TOTP: Proof.TOTP,
    SecondStep.RECOVERY_CODE: Proof.RECOVERY_CODE,
}


def reauthenticate(
    *, password: str | None, given: GivenProof | None, actor: Actor, request: RequestInfo
) -> AccessToken:
    """Verify who the signed-in user is once more; return a fresh token of the same session.

    What is given must reach the level of the session and the one that its account needs. So a
    password alone never freshens a session of two factors, and may raise none.

    Args:
        password: the account's; None with a passkey, which is two factors by itself.
        given: a second proof, if any.
        actor: the user, in a session of any level.
        request: for the audit events.

    Raises:
        WrongPasswordError: counted by the login throttle.
        MfaRequiredError: the password is right, but not enough, perhaps because the session rose
            meanwhile; it names the methods that are.
        InvalidCodeError, CodeReusedError, WrongPasskeyError: the second proof is wrong, or its code
            or its time step is spent.
        SessionRevokedError: the session ended meanwhile.
        SigningKeyUnavailableError: the token could not be signed; nothing was verified.
        FactorUnavailableError: the TOTP secret cannot be decrypted.
        TooManyAttemptsError, HasherBusyError, UserNotFoundError: see
            `users.passwords.confirm_password`, and `mfa.throttle` of the second proof.
    """
    key, user = KEY_STORE.get().signing_key(), actor.signed_in_user
    if password is not None:
        confirm_password(user, password, actor=actor, request=request)
    account = get_credentials(user.id)
    proofs = ({Proof.PASSWORD} if password is not None else set()) | (
        {kind_of(given)} if given is not None else set()
    )
    level = _require_enough(proofs, account, actor)
    session_id, moment = actor.current_session_id, now()
    proven = _prove(given, account, session_id, actor, request) if given is not None else None
    try:
        with transaction():
            if proven is not None:
                # First, because the user's row is locked before those of factors and sessions.
                lock_user(user.id)
                spend(proven, now=moment)
            renew_authentication(
                user,
                session_id,
                level=level,
                proofs=proofs,
                actor=actor,
                request=request,
                now=moment,
            )
            # Inside, so that no proof is spent if it fails.
            session = get_live_session(session_id, now=moment).as_live()
    except UnspentError as error:
        assert proven is not None
        raise REFUSALS[explain_unspent(proven, now=moment)] from error
    except StepUpRequiredError as error:
        needed = get_live_session(session_id, now=moment).actor.level
        raise MfaRequiredError(_sufficient(find_factors(user.id), needed)) from error
    return issue_access_token(
        session, key=key, fresh=True, settings=SETTINGS.get(), now=session.auth_time
    )


def _require_enough(proofs: set[Proof], account: Credentials, actor: Actor) -> Level:
    """Return the level that the proofs reach, before a second one is compared.

    An account that needs two factors and has none gets by with its password at `AAL1`: such a
    session can do nothing but set one up.

    Raises:
        MfaRequiredError: they do not reach the level of the session, or what the account needs.
    """
    level = worth(proofs) or Level.AAL1
    is_required = is_mfa_required(SETTINGS.get(), now())
    need = need_of(mfa_enabled=account.mfa_enabled, is_required=is_required)
    needed = max(need, actor.level)
    if level >= needed:
        return level
    factors = find_factors(account.ref.id)
    if level == actor.level and not factors.is_any:
        return level
    raise MfaRequiredError(_sufficient(factors, needed))


def _sufficient(factors: Factors, needed: Level) -> list[SecondStep]:
    """Return the methods that reach a level together with the password, in order."""
    steps = second_steps({Proof.PASSWORD}, factors)
    return [each for each in steps if (worth({Proof.PASSWORD, _PROOFS[each]}) or 0) >= needed]


def _prove(
    given: GivenProof, account: Credentials, session_id: UUID, actor: Actor, request: RequestInfo
) -> Proven:
    proven = prove(
        given,
        Prover(account=account, actor=actor, request=request),
        use=ChallengeUse(ChallengeKind.REAUTHENTICATE, session_id),
        now=now(),
    )
    if isinstance(proven, ProofFailure):
        raise REFUSALS[proven]
    return proven
