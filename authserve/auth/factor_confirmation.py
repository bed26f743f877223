"""Confirmation of a new factor in a session, which rises to two factors by it."""

from collections.abc import Callable
from dataclasses import field
from datetime import datetime
from typing import Generic, TypeVar

from authserve.auth.browser_sessions import BrowserCookie, BrowserSession, rotate_cookie
from authserve.auth.current_session import get_live_session
from authserve.core.actor import Actor, RequestInfo
from authserve.core.clock import now
from authserve.core.frozen import frozen
from authserve.core.levels import Level, Proof
from authserve.database.transactions import transaction
from authserve.keys.store import KEY_STORE
from authserve.mail.policy import plain_name
from authserve.mfa.answers import RegistrationAnswer
from authserve.mfa.assurance import SecondStep
from authserve.mfa.challenges import ChallengeKind, ChallengeUse
from authserve.mfa.email_codes import FoundCode
from authserve.mfa.errors import WrongPasskeyError
from authserve.mfa.factors import find_factors
from authserve.mfa.mailbox_proof import check_mailbox_proof, spend_mailbox_proof
from authserve.mfa.own_passkeys import PasskeyView, add_passkey
from authserve.mfa.passkeys import RefusedPasskey, check_registration
from authserve.mfa.switch import (
    Owner,
    lock_owner,
    on_factor_added,
    require_may_add,
    require_may_change,
)
from authserve.mfa.totp_set_up import check_set_up, confirm_set_up
from authserve.sessions.renew import raise_session
from authserve.settings.model import SETTINGS
from authserve.tokens.access import AccessToken, issue_access_token

RenewalT = TypeVar("RenewalT")

Renew = Callable[[datetime], RenewalT]
"""Renews what the caller holds of a session that has just risen, in the open transaction; takes
the present time."""


@frozen(kw_only=True)
class ConfirmedFactor(Generic[RenewalT]):
    """The results of a new factor for its owner.

    Args:
        recovery_codes: shown once; None if the account had unused ones.
        renewal: a fresh access token of the risen session, or a browser's new cookie (None if
            another tab has it); None if the factor did not switch MFA on.
    """

    recovery_codes: tuple[str, ...] | None = field(repr=False)
    renewal: RenewalT | None = field(repr=False)


def confirm_totp(
    *, code: str, email_code: str | None, actor: Actor, request: RequestInfo
) -> ConfirmedFactor[AccessToken]:
    """Confirm the TOTP set-up of the caller's session, which switches MFA on.

    Args:
        code: of the app.
        email_code: of the mail, which an account's first factor needs.
        actor: the caller.
        request: for the audit events.

    Returns:
        Its access token is never None.

    Raises:
        SigningKeyUnavailableError: the token could not be signed; nothing was tried.
        NoSetUpError: nothing is set up in this session, or not any more.
        InvalidCodeError: one of the codes is wrong; neither is spent.
        ValidationFailedError: the mailed code is needed.
        FactorUnavailableError: the secret cannot be decrypted.
        StepUpRequiredError, MfaOffError: see `mfa.switch`.
        SessionRevokedError: the session has ended meanwhile.
        UserNotFoundError: the account is gone or deactivated.
    """
    renew = _token_renewal(actor)
    return _confirm_totp(code, email_code, renew=renew, actor=actor, request=request)


def confirm_totp_in_browser(
    *, code: str, email_code: str | None, session: BrowserSession, request: RequestInfo
) -> ConfirmedFactor[BrowserCookie]:
    """Confirm the TOTP set-up of a browser's session as `confirm_totp` does; rotate its cookie."""
    return _confirm_totp(
        code,
        email_code,
        renew=lambda now: rotate_cookie(session.cookie, now=now),
        actor=session.actor,
        request=request,
    )


def _token_renewal(actor: Actor) -> Renew[AccessToken]:
    """Return the renewal of an API client's session; the key is found before anything is tried."""
    key = KEY_STORE.get().signing_key()

    def renew(now: datetime) -> AccessToken:
        session = get_live_session(actor.current_session_id, now=now).as_live()
        return issue_access_token(session, key=key, fresh=True, settings=SETTINGS.get(), now=now)

    return renew


def _confirm_totp(
    code: str,
    email_code: str | None,
    *,
    renew: Renew[RenewalT | None],
    actor: Actor,
    request: RequestInfo,
) -> ConfirmedFactor[RenewalT]:
    user, session_id, moment = actor.signed_in_user, actor.current_session_id, now()
    checked = check_set_up(user.id, code, bound_to=session_id, now=moment)
    mailbox = check_mailbox_proof(
        email_code, user_id=user.id, factors=find_factors(user.id), bound_to=session_id
    )
    with transaction():
        owner = lock_owner(user.id)
        # First, so that the second of two callers with one set-up learns that it is gone.
        confirm_set_up(owner, checked, actor=actor, request=request, now=moment)
        return _complete(
            owner,
            SecondStep.TOTP,
            mailbox=mailbox,
            renew=renew,
            actor=actor,
            request=request,
            now=moment,
        )


def _complete(
    owner: Owner,
    factor: SecondStep,
    *,
    name: str = "",
    mailbox: FoundCode | None,
    renew: Renew[RenewalT | None],
    actor: Actor,
    request: RequestInfo,
    now: datetime,
) -> ConfirmedFactor[RenewalT]:
    """Do what follows a factor that a session has just confirmed, in the open transaction.

    If it switches MFA on, the session rises and every other one ends.

    Args:
        owner: the account, as before the factor was added.
        factor: its kind.
        name: of a passkey, as `plain_name` returned it.
        mailbox: from `check_mailbox_proof`.
        renew: called if the session rises.
        actor: the caller, with the session.
        request: for the audit events.
        now: the time of the confirmation.

    Raises:
        StepUpRequiredError, MfaOffError, ValidationFailedError, InvalidCodeError,
        SessionRevokedError: see `confirm_totp`; the transaction must not go on.
    """
    session_id = actor.current_session_id
    require_may_change(owner, actor)
    require_may_add(owner)
    spend_mailbox_proof(owner, mailbox, actor=actor, request=request)
    added = on_factor_added(owner, factor, name=name, keep=session_id, actor=actor, request=request)
    renewal = None
    if added.turned_on:
        # A new passkey signs nothing without attestation, so it is no proof of itself.
        proofs = {Proof.TOTP} if factor is SecondStep.TOTP else set()
        proofs |= {Proof.EMAIL_CODE} if mailbox is not None else set()
        raise_session(owner.ref, session_id, level=Level.AAL2, proofs=proofs, now=now)
        renewal = renew(now)
    return ConfirmedFactor(recovery_codes=added.recovery_codes, renewal=renewal)


def confirm_passkey(
    answer: RegistrationAnswer,
    *,
    name: str | None,
    email_code: str | None,
    actor: Actor,
    request: RequestInfo,
) -> tuple[PasskeyView, ConfirmedFactor[AccessToken]]:
    """Register a passkey in the caller's session.

    A wrong mailed code is found before the challenge is spent, so the same answer can be sent with
    the right one.

    Args:
        answer: the browser's answer to options of this session.
        name: from its owner, if given.
        email_code: of the mail, which an account's first factor needs.
        actor: the caller.
        request: for the audit events.

    Raises:
        SigningKeyUnavailableError: a token could not be signed; nothing was tried.
        WrongPasskeyError: the answer breaks a rule; the mailed code is not spent.
        InvalidCodeError: the mailed code is wrong.
        ValidationFailedError: the mailed code is needed.
        PasskeyTakenError, TooManyPasskeysError: see `add_passkey`.
        StepUpRequiredError, MfaOffError: see `mfa.switch`.
        SessionRevokedError: the session has ended meanwhile.
        UserNotFoundError: the account is gone or deactivated.
    """
    renew = _token_renewal(actor)
    return _confirm_passkey(answer, name, email_code, renew=renew, actor=actor, request=request)


def confirm_passkey_in_browser(
    answer: RegistrationAnswer,
    *,
    name: str | None,
    email_code: str | None,
    session: BrowserSession,
    request: RequestInfo,
) -> tuple[PasskeyView, ConfirmedFactor[BrowserCookie]]:
    """Register a passkey in a browser's session as `confirm_passkey` does.

    If that switches MFA on, the session's cookie is rotated.
    """
    return _confirm_passkey(
        answer,
        name,
        email_code,
        renew=lambda now: rotate_cookie(session.cookie, now=now),
        actor=session.actor,
        request=request,
    )


def _confirm_passkey(
    answer: RegistrationAnswer,
    name: str | None,
    email_code: str | None,
    *,
    renew: Renew[RenewalT | None],
    actor: Actor,
    request: RequestInfo,
) -> tuple[PasskeyView, ConfirmedFactor[RenewalT]]:
    user, session_id, moment = actor.signed_in_user, actor.current_session_id, now()
    mailbox = check_mailbox_proof(
        email_code, user_id=user.id, factors=find_factors(user.id), bound_to=session_id
    )
    use = ChallengeUse(ChallengeKind.REGISTER, session_id)
    checked = check_registration(answer, use, now=moment)
    if isinstance(checked, RefusedPasskey):
        raise WrongPasskeyError
    with transaction():
        owner = lock_owner(user.id)
        passkey = add_passkey(user.id, checked, name=name, now=moment)
        confirmed = _complete(
            owner,
            SecondStep.PASSKEY,
            name=plain_name(passkey.name),
            mailbox=mailbox,
            renew=renew,
            actor=actor,
            request=request,
            now=moment,
        )
    return passkey, confirmed
