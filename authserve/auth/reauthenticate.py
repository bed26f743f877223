"""The use cases that freshen a session, and step it up to a higher level."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from authserve.auth.browser_sessions import BrowserCookie, BrowserSession, rotate_cookie
from authserve.auth.current_session import get_live_session
from authserve.core.actor import Actor, RequestInfo
from authserve.core.clock import now
from authserve.core.errors import AuthserveError, StepUpRequiredError
from authserve.core.frozen import frozen
from authserve.core.levels import Level, Proof
from authserve.database.transactions import transaction
from authserve.keys.store import KEY_STORE
from authserve.mfa.assurance import (
    Factors,
    ProofFailure,
    SecondStep,
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
from authserve.mfa.passkey_options import request_options
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

ResultT = TypeVar("ResultT")

REFUSALS: dict[ProofFailure, type[AuthserveError]] = {
    ProofFailure.WRONG_CODE: InvalidCodeError,
    ProofFailure.CODE_REUSED: CodeReusedError,
    ProofFailure.WRONG_RECOVERY_CODE: InvalidCodeError,
    ProofFailure.SWITCHED_OFF: InvalidCodeError,
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
    key = KEY_STORE.get().signing_key()
    session = _renew(
        password=password,
        given=given,
        actor=actor,
        request=request,
        finish=lambda now: get_live_session(actor.current_session_id, now=now).as_live(),
    )
    return issue_access_token(
        session, key=key, fresh=True, settings=SETTINGS.get(), now=session.auth_time
    )


def reauthenticate_browser(
    *, password: str | None, given: GivenProof | None, session: BrowserSession, request: RequestInfo
) -> BrowserCookie | None:
    """Verify who the user of a browser is once more, as `reauthenticate` does.

    Args:
        password, given, request: see `reauthenticate`.
        session: of any level.

    Returns:
        The session's new cookie; see `rotate_cookie`.

    Raises:
        AuthserveError: see `reauthenticate`; no token is signed here.
    """
    return _renew(
        password=password,
        given=given,
        actor=session.actor,
        request=request,
        finish=lambda now: rotate_cookie(session.cookie, now=now),
    )


def _renew(
    *,
    password: str | None,
    given: GivenProof | None,
    actor: Actor,
    request: RequestInfo,
    finish: Callable[[datetime], ResultT],
) -> ResultT:
    """Verify and spend the proofs, renew the session, and return what `finish` returns.

    Args:
        password, given, actor, request: see `reauthenticate`.
        finish: called with the present time in the same transaction, so that no proof is spent if
            it fails.
    """
    user = actor.signed_in_user
    if password is not None:
        confirm_password(user, password, actor=actor, request=request)
    account = get_credentials(user.id)
    proofs = ({Proof.PASSWORD} if password is not None else set()) | (
        {kind_of(given)} if given is not None else set()
    )
    session_id, moment = actor.current_session_id, now()
    level = _require_enough(proofs, account, actor, moment)
    proven = None
    if given is not None:
        proven = _prove(given, account, session_id, actor, request, moment)
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
            return finish(moment)
    except UnspentError as error:
        assert proven is not None
        raise REFUSALS[explain_unspent(proven, now=moment)] from error
    except StepUpRequiredError as error:
        needed = get_live_session(session_id, now=moment).actor.level
        raise MfaRequiredError(_sufficient(find_factors(user.id), needed)) from error


@frozen(kw_only=True)
class WaysToReauthenticate:
    """The proofs with which a signed-in user can freshen a session.

    Args:
        has_password: True if the account has a password.
        is_password_enough: True if it suffices alone.
        methods: those that suffice with the password, a passkey also alone, in the order in which
            clients offer them.
    """

    has_password: bool
    is_password_enough: bool
    methods: tuple[SecondStep, ...]


def find_ways_to_reauthenticate(actor: Actor, *, level: Level) -> WaysToReauthenticate:
    """Return the proofs that `reauthenticate` accepts of a signed-in user.

    Args:
        actor: the user.
        level: what the session must reach; proofs of less are left out.

    Raises:
        UserNotFoundError: the account is gone.
    """
    account = get_credentials(actor.signed_in_user.id)
    needed, factors = max(level, _needed(account, actor, now())), find_factors(account.ref.id)
    has_password = account.password_hash is not None
    methods = _sufficient(factors, needed)
    return WaysToReauthenticate(
        has_password=has_password,
        is_password_enough=has_password
        and (needed == Level.AAL1 or _is_without_factor(Level.AAL1, actor, factors)),
        methods=tuple(method for method in methods if has_password or method is SecondStep.PASSKEY),
    )


def reauthentication_options(actor: Actor) -> dict[str, Any]:
    """Return the options with which a passkey of the account reauthenticates in this session."""
    use = ChallengeUse(ChallengeKind.REAUTHENTICATE, actor.current_session_id)
    return request_options(use, user_id=actor.signed_in_user.id, now=now())


def _needed(account: Credentials, actor: Actor, moment: datetime) -> Level:
    """Return the level that proofs must reach: the session's, and what the account needs."""
    need = need_of(mfa_enabled=account.mfa_enabled, settings=SETTINGS.get(), now=moment)
    return max(need, actor.level)


def _is_without_factor(level: Level, actor: Actor, factors: Factors) -> bool:
    """Return True if the level of the session is enough, because the account has no factor.

    Such a session can do nothing but set one up.
    """
    return level == actor.level and not factors.has_any


def _require_enough(
    proofs: set[Proof], account: Credentials, actor: Actor, moment: datetime
) -> Level:
    """Return the level that the proofs reach, before a second one is compared.

    Raises:
        MfaRequiredError: they do not reach what `_needed` returns.
    """
    level, needed = worth(proofs) or Level.AAL1, _needed(account, actor, moment)
    if level >= needed:
        return level
    factors = find_factors(account.ref.id)
    if _is_without_factor(level, actor, factors):
        return level
    raise MfaRequiredError(_sufficient(factors, needed))


def _sufficient(factors: Factors, needed: Level) -> list[SecondStep]:
    """Return the methods that reach a level together with the password, in order."""
    steps = second_steps({Proof.PASSWORD}, factors)
    return [each for each in steps if (worth({Proof.PASSWORD, _PROOFS[each]}) or 0) >= needed]


def _prove(
    given: GivenProof,
    account: Credentials,
    session_id: UUID,
    actor: Actor,
    request: RequestInfo,
    moment: datetime,
) -> Proven:
    proven = prove(
        given,
        Prover(account=account, actor=actor, request=request),
        use=ChallengeUse(ChallengeKind.REAUTHENTICATE, session_id),
        now=moment,
    )
    if isinstance(proven, ProofFailure):
        raise REFUSALS[proven]
    return proven
