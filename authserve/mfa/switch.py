"""Changes of an account's factors: who may make one, and what follows it.

Every change runs in a transaction that begins with `lock_owner`, so an account's factors change
one after the other, and its rows are locked in the order users, factors, codes, sessions.
"""

from dataclasses import field
from datetime import datetime
from uuid import UUID

from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.clock import now
from authserve.core.errors import StepUpRequiredError
from authserve.core.events import AuditAction
from authserve.core.frozen import frozen
from authserve.core.levels import Level
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.mail.notices import notify
from authserve.mail.policy import MailKind
from authserve.mfa.assurance import Factors, SecondStep, is_mfa_required
from authserve.mfa.errors import (
    MfaOffError,
    MfaRequiredByPolicyError,
    NoFactorError,
)
from authserve.mfa.factors import find_factors
from authserve.mfa.recovery_codes import delete_codes, replace_codes
from authserve.sessions.listing import require_live_session
from authserve.sessions.policy import RevokeReason
from authserve.sessions.revoke import end_sessions
from authserve.settings.model import SETTINGS, Mfa
from authserve.users.accounts import lock_user, ref_of
from authserve.users.errors import UserNotFoundError
from authserve.users.mfa_columns import switch_mfa


@frozen(kw_only=True)
class Owner:
    """An account whose row the open transaction has locked, and its factors.

    Args:
        ref: the account.
        email: its address, which gets the notices and the mailed codes.
        email_verified: True if its owner has proven it.
        mfa_enabled: its own switch.
        factors: as they are before the change.
    """

    ref: UserRef
    email: str
    email_verified: bool
    mfa_enabled: bool
    factors: Factors


def lock_owner(user_id: UUID) -> Owner:
    """Return an account whose factors are about to change, locked in the open transaction.

    Raises:
        UserNotFoundError: it is gone or deactivated.
    """
    user = lock_user(user_id)
    if not user.is_active:
        raise UserNotFoundError
    return Owner(
        ref=ref_of(user),
        email=user.email,
        email_verified=user.email_verified,
        mfa_enabled=user.mfa_enabled,
        factors=find_factors(user_id),
    )


def level_for_change(factors: Factors) -> Level:
    """Return the level that a session needs to change an account's factors.

    The first factor needs no second one, but a code from the account's mailbox. Every later change
    needs `AAL2`, so that a password alone never adds or removes anything.
    """
    return Level.AAL2 if factors.has_any else Level.AAL1


def level_for_change_by(actor: Actor) -> Level:
    """Return `level_for_change` of a signed-in user, for the check before a call."""
    return level_for_change(find_factors(actor.signed_in_user.id))


def require_may_change(owner: Owner, actor: Actor) -> None:
    """Refuse a change of factors whose session has ended, or is below `level_for_change`.

    The check before the call may be outdated: a simultaneous call may have ended the session, or
    added a first factor.

    Args:
        owner: the account, whose row the open transaction has locked.
        actor: its user, with the session.

    Raises:
        SessionRevokedError, TokenExpiredError: the session is not live any more.
        StepUpRequiredError: its level is too low.
    """
    require_live_session(owner.ref.id, actor.current_session_id, now=now())
    needed = level_for_change(owner.factors)
    if actor.level < needed:
        raise StepUpRequiredError(level=needed)


def require_may_add(owner: Owner) -> None:
    """Refuse a new factor where the operator has switched second factors off.

    An account that has its own switch on must still be able to replace its factors.

    Raises:
        MfaOffError: `MFA` is off, and so is the account's switch.
    """
    if SETTINGS.get().mfa is Mfa.OFF and not owner.mfa_enabled:
        raise MfaOffError


@frozen(kw_only=True)
class AddedFactor:
    """The consequences of a new factor.

    Args:
        recovery_codes: the new ones, shown once; None if the account had unused ones.
        turned_on: True if other sessions were ended: sign-ins need a second factor now.
    """

    recovery_codes: tuple[str, ...] | None = field(repr=False)
    turned_on: bool


def on_factor_added(
    owner: Owner,
    factor: SecondStep,
    *,
    name: str = "",
    keep: UUID | None,
    actor: Actor,
    request: RequestInfo,
) -> AddedFactor:
    """Do what follows a confirmed factor, in the open transaction.

    A TOTP secret has no other use than a second factor, so it switches MFA on. A passkey does so
    only where the operator requires a second factor and MFA is off so far.

    Args:
        owner: as before the factor was added.
        factor: its kind.
        name: of a passkey, as `plain_name` returned it.
        keep: the session that goes on, if any; `raise_session` is the caller's.
        actor, request: for the audit events.
    """
    emit(
        AuditAction.FACTOR_ADDED,
        actor=actor,
        subject=owner.ref,
        request=request,
        details={"factor": factor},
    )
    values = {"factor": factor.value, "factor_name": name}
    notify(MailKind.FACTOR_ADDED, owner.email, owner.ref.id, values=values)
    codes = _make_missing_codes(owner)
    is_demanded = SETTINGS.get().mfa is Mfa.REQUIRED and not owner.mfa_enabled
    turned_on = factor is SecondStep.TOTP or is_demanded
    if turned_on:
        _turn_on(owner, keep=keep, actor=actor, request=request)
    return AddedFactor(recovery_codes=codes, turned_on=turned_on)


def on_factor_removed(
    owner: Owner, factor: SecondStep, *, name: str = "", actor: Actor, request: RequestInfo
) -> None:
    """Do what follows the removal of a confirmed factor, in the open transaction.

    Where no usable factor is left, MFA goes off and the recovery codes die with it. All other
    sessions end (ASVS 7.4.3).

    Args:
        owner: as before the removal.
        factor: its kind.
        name: of a passkey, as `plain_name` returned it.
        actor, request: for the audit events.

    Raises:
        MfaRequiredByPolicyError: no usable factor would be left, and the operator requires one;
            the transaction must not go on.
    """
    emit(
        AuditAction.FACTOR_REMOVED,
        actor=actor,
        subject=owner.ref,
        request=request,
        details={"factor": factor},
    )
    values = {"factor": factor.value, "factor_name": name}
    notify(MailKind.FACTOR_REMOVED, owner.email, owner.ref.id, values=values)
    if not find_factors(owner.ref.id).has_usable:
        _require_may_turn_off(now())
        delete_codes(owner.ref.id)
        _turn_off(owner, actor=actor, request=request)
    end_sessions(
        owner.ref,
        RevokeReason.FACTOR_REMOVED,
        actor=actor,
        request=request,
        keep=actor.session_id,
    )


def set_mfa(
    user: UserRef, *, is_enabled: bool, actor: Actor, request: RequestInfo
) -> tuple[str, ...] | None:
    """Switch an account's second factor on or off; all other sessions end.

    Switched off, factors and recovery codes stay. Nothing happens if the switch is in that position
    already.

    Returns:
        New recovery codes, if it is switched on and has none left; else None.

    Raises:
        NoFactorError: it has no usable factor.
        MfaRequiredByPolicyError: the operator requires a second factor.
        SessionRevokedError, StepUpRequiredError: see `require_may_change`.
        UserNotFoundError: the account is gone or deactivated.
    """
    with transaction():
        owner = lock_owner(user.id)
        require_may_change(owner, actor)
        if is_enabled:
            return _set_on(owner, actor=actor, request=request)
        _require_may_turn_off(now())
        if _turn_off(owner, actor=actor, request=request):
            reason = RevokeReason.FACTOR_REMOVED
            end_sessions(user, reason, actor=actor, request=request, keep=actor.session_id)
    return None


def _set_on(owner: Owner, *, actor: Actor, request: RequestInfo) -> tuple[str, ...] | None:
    if not owner.factors.has_usable:
        raise NoFactorError
    if owner.mfa_enabled:
        return None
    codes = _make_missing_codes(owner)
    _turn_on(owner, keep=actor.session_id, actor=actor, request=request)
    return codes


def _make_missing_codes(owner: Owner) -> tuple[str, ...] | None:
    if owner.factors.recovery_codes_left:
        return None
    return replace_codes(owner.ref.id, now=now())


def _turn_on(owner: Owner, *, keep: UUID | None, actor: Actor, request: RequestInfo) -> None:
    if switch_mfa(owner.ref.id, is_enabled=True):
        emit(AuditAction.MFA_ENABLED, actor=actor, subject=owner.ref, request=request)
        notify(MailKind.MFA_CHANGED, owner.email, owner.ref.id, values={"enabled": 1})
    end_sessions(owner.ref, RevokeReason.MFA_ENABLED, actor=actor, request=request, keep=keep)


def _require_may_turn_off(moment: datetime) -> None:
    if is_mfa_required(SETTINGS.get(), moment):
        raise MfaRequiredByPolicyError


def _turn_off(owner: Owner, *, actor: Actor, request: RequestInfo) -> bool:
    if not switch_mfa(owner.ref.id, is_enabled=False):
        return False
    emit(AuditAction.MFA_DISABLED, actor=actor, subject=owner.ref, request=request)
    notify(MailKind.MFA_CHANGED, owner.email, owner.ref.id, values={"enabled": 0})
    return True
