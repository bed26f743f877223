"""Support for users who cannot sign in: the reasons, the end of a block, a reset link."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from authserve.audit.read import RecordedFailure, find_last_sign_in_failures
from authserve.core.actor import Actor, RequestInfo
from authserve.core.clock import now
from authserve.core.events import AuditAction
from authserve.core.frozen import frozen
from authserve.core.levels import Proof
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.mfa.assurance import Factors, SecondStep, is_mfa_required, second_steps
from authserve.mfa.factors import (
    MfaState,
    find_factors,
    find_further_credentials,
    find_mfa_state,
)
from authserve.mfa.own_passkeys import MAX_PASSKEYS, PasskeyView, find_passkeys
from authserve.mfa.throttle import end_second_factor_blocks
from authserve.outbox.inspect import find_messages_of
from authserve.ratelimit.throttle import end_blocks, find_block_end
from authserve.ratelimit.throttle_keys import (
    ThrottleKey,
    account_key,
    identifier_key,
    second_factor_key,
)
from authserve.rbac.assignment import require_may_act_on
from authserve.sessions.listing import count_live_sessions
from authserve.settings.model import SETTINGS, EmailVerification
from authserve.users.accounts import User, lock_user, ref_of
from authserve.users.credentials import is_password_disabled, is_totp_switched_off
from authserve.users.errors import AccountDisabledError
from authserve.users.lookup import get_user
from authserve.verification.policy import LIFETIMES, Purpose
from authserve.verification.requests import make_reset_link, topics_of

RESET_LINK_LIFETIME = LIFETIMES[Purpose.RESET_PASSWORD]

LAST_FAILURES = 10
LAST_MAILS = 10
"""The failures and the mails to show: as many as fit in one view (chosen)."""


class SignInObstacle(StrEnum):
    """A reason why a user cannot sign in on an unknown device: a closed list."""

    ACCOUNT_DISABLED = "account_disabled"
    EMAIL_NOT_VERIFIED = "email_not_verified"
    NO_PASSWORD = "no_password"
    PASSWORD_DISABLED = "password_disabled"
    THROTTLED = "throttled"
    MFA_ENROLLMENT_REQUIRED = "mfa_enrollment_required"
    SECOND_FACTOR_THROTTLED = "second_factor_throttled"
    SECOND_FACTOR_SWITCHED_OFF = "second_factor_switched_off"
    MFA_RESET_PENDING = "mfa_reset_pending"
    NO_USABLE_FACTOR = "no_usable_factor"


SURMOUNTABLE = frozenset(
    {
        SignInObstacle.MFA_ENROLLMENT_REQUIRED,
        SignInObstacle.SECOND_FACTOR_SWITCHED_OFF,
        SignInObstacle.MFA_RESET_PENDING,
    }
)
"""Reasons with which a user still can sign in: by setting a factor up, or by another one."""


@frozen(kw_only=True)
class MfaStatus:
    """The second factors of a user, for their sign-in status.

    Args:
        enabled: the account's own switch.
        required: True if the operator requires a second factor by now.
        methods: those that a second step after the password accepts from an unknown device.
        recovery_codes_left: the number of unused recovery codes.
        throttled_until: the end of a block of second factors from unknown devices.
        reset_at: when a requested reset removes all factors.
    """

    enabled: bool
    required: bool
    methods: Sequence[SecondStep]
    recovery_codes_left: int
    throttled_until: datetime | None
    reset_at: datetime | None


@frozen(kw_only=True)
class SignInStatus:
    """A user's sign-in status, as in the contract.

    Args:
        providers: slugs of the other providers by which the user can sign in.
    """

    can_sign_in: bool
    reasons: Sequence[SignInObstacle]
    is_active: bool
    email_verified: bool
    has_password: bool
    providers: Sequence[str]
    throttled_until: datetime | None
    last_success: datetime | None
    last_failures: Sequence[RecordedFailure]
    live_sessions: int
    mfa: MfaStatus
    mails: Sequence[Row[Any]]


def sign_in_status(user_id: UUID) -> SignInStatus:
    """Return the current sign-in status of a user.

    Raises:
        UserNotFoundError: the account does not exist.
    """
    user = get_user(user_id)
    throttled_until, factors = _throttled_until(user), find_factors(user_id)
    mfa, providers = _mfa_status(user, factors), find_further_credentials(user_id)
    has_other_way = bool(providers) or not _is_password_needed(user, factors)
    obstacles = _obstacles(user, throttled_until, has_other_way=has_other_way)
    reasons = [*obstacles, *_mfa_obstacles(user, factors, mfa)]
    return SignInStatus(
        can_sign_in=SURMOUNTABLE.issuperset(reasons),
        reasons=reasons,
        is_active=user.is_active,
        email_verified=user.email_verified,
        has_password=user.password_hash is not None,
        providers=providers,
        throttled_until=throttled_until,
        last_success=user.last_login_at,
        last_failures=find_last_sign_in_failures(ref_of(user), limit=LAST_FAILURES),
        live_sessions=count_live_sessions(user_id),
        mfa=mfa,
        mails=find_messages_of(user_id, topics=topics_of(user.email), limit=LAST_MAILS),
    )


def _mfa_status(user: User, factors: Factors) -> MfaStatus:
    methods = second_steps({Proof.PASSWORD}, factors)
    if is_totp_switched_off(user.failed_second_factors):
        methods = tuple(method for method in methods if method is not SecondStep.TOTP)
    return MfaStatus(
        enabled=user.mfa_enabled,
        required=is_mfa_required(SETTINGS.get(), now()),
        methods=methods,
        recovery_codes_left=factors.recovery_codes_left,
        throttled_until=find_block_end([second_factor_key(user.id)]),
        reset_at=user.mfa_reset_at,
    )


def _mfa_obstacles(user: User, factors: Factors, mfa: MfaStatus) -> Sequence[SignInObstacle]:
    is_needed = mfa.enabled or mfa.required
    is_switched_off = factors.has_totp and is_totp_switched_off(user.failed_second_factors)
    found = {
        SignInObstacle.MFA_ENROLLMENT_REQUIRED: is_needed and not factors.has_any,
        SignInObstacle.NO_USABLE_FACTOR: is_needed and factors.has_any and not mfa.methods,
        SignInObstacle.SECOND_FACTOR_SWITCHED_OFF: is_needed and is_switched_off,
        SignInObstacle.SECOND_FACTOR_THROTTLED: is_needed and mfa.throttled_until is not None,
        SignInObstacle.MFA_RESET_PENDING: mfa.reset_at is not None,
    }
    return [obstacle for obstacle, is_there in found.items() if is_there]


def _is_password_needed(user: User, factors: Factors) -> bool:
    """Return True if neither a passkey nor a mailed code opens the account without a password."""
    settings = SETTINGS.get()
    is_one_factor_enough = not (user.mfa_enabled or is_mfa_required(settings, now()))
    is_code_enough = settings.email_sign_in and user.email_verified and is_one_factor_enough
    return not (factors.usable_passkeys or is_code_enough)


def _obstacles(
    user: User, throttled_until: datetime | None, *, has_other_way: bool
) -> Sequence[SignInObstacle]:
    has_password = user.password_hash is not None
    is_required = SETTINGS.get().email_verification is EmailVerification.REQUIRED
    found = {
        SignInObstacle.ACCOUNT_DISABLED: not user.is_active,
        SignInObstacle.NO_PASSWORD: not (has_password or has_other_way),
        SignInObstacle.PASSWORD_DISABLED: is_password_disabled(user.failed_sign_ins),
        SignInObstacle.EMAIL_NOT_VERIFIED: is_required and not user.email_verified,
        SignInObstacle.THROTTLED: throttled_until is not None,
    }
    return [obstacle for obstacle, is_there in found.items() if is_there]


def _throttled_until(user: User) -> datetime | None:
    """Return the end of the longest block on the user's email address or username, or None.

    Blocks on an IP address or a known device are not found: the client is not known here.
    """
    return find_block_end(_identifier_keys(user))


def _identifier_keys(user: User) -> list[ThrottleKey]:
    return [identifier_key(name) for name in (user.email, user.username) if name]


@frozen()
class UserFactors:
    """A user's second factors, without secrets.

    Args:
        state: as its owner sees it.
        passkeys: newest first.
        reset_at: when a requested reset removes them all; None without one.
    """

    state: MfaState
    passkeys: Sequence[PasskeyView]
    reset_at: datetime | None


def factors_of(user_id: UUID) -> UserFactors:
    """Return the second factors of a user.

    Raises:
        UserNotFoundError: the account does not exist.
    """
    user = get_user(user_id)
    return UserFactors(
        state=find_mfa_state(user_id, mfa_enabled=user.mfa_enabled, now=now()),
        passkeys=find_passkeys(user_id, limit=MAX_PASSKEYS),
        reset_at=user.mfa_reset_at,
    )


def unlock_user(user_id: UUID, *, actor: Actor, request: RequestInfo) -> None:
    """End the throttles' blocks on a user's email address, username, account and second factors.

    A disabled password stays disabled until it is replaced by a new one
    (NIST SP 800-63B-4 §3.2.2).

    Raises:
        UserNotFoundError: the account does not exist.
        InsufficientPermissionsError: the user holds a permission that the actor lacks.
    """
    with transaction():
        user = lock_user(user_id)
        require_may_act_on(actor, user_id)
        end_blocks([*_identifier_keys(user), account_key(user_id)])
        end_second_factor_blocks(user_id)
        emit(AuditAction.USER_UNLOCKED, actor=actor, subject=ref_of(user), request=request)


def issue_reset_link(user_id: UUID, *, actor: Actor, request: RequestInfo) -> str:
    """Return a link to set a new password, to hand over without mail.

    Older reset links stop working at once. The user's sessions end when the link is used.

    Raises:
        UserNotFoundError: the account does not exist.
        InsufficientPermissionsError: the user holds a permission that the actor lacks.
        AccountDisabledError: the account is deactivated, so the link would not work.
    """
    with transaction():
        user = lock_user(user_id)
        require_may_act_on(actor, user_id)
        if not user.is_active:
            raise AccountDisabledError
        link = make_reset_link(ref_of(user), user.email)
        emit(AuditAction.USER_RESET_LINK_MADE, actor=actor, subject=ref_of(user), request=request)
    return link
