"""Use cases of operators for users who cannot sign in."""

from uuid import UUID

from authserve.core.actor import Actor, RequestInfo
from authserve.core.events import AuditAction
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.ratelimit.throttle import end_blocks
from authserve.ratelimit.throttle_keys import account_key, identifier_key
from authserve.rbac.assignment import require_may_act_on
from authserve.users.accounts import lock_user, ref_of
from authserve.users.errors import AccountDisabledError
from authserve.verification.policy import LIFETIMES, Purpose
from authserve.verification.requests import make_reset_link

RESET_LINK_LIFETIME = LIFETIMES[Purpose.RESET_PASSWORD]


def unlock_user(user_id: UUID, *, actor: Actor, request: RequestInfo) -> None:
    """End the login throttle's blocks on a user's email address, username and account.

    A disabled password stays disabled until it is replaced by a new one
    (NIST SP 800-63B-4 §3.2.2).

    Raises:
        UserNotFoundError: the account does not exist.
        InsufficientPermissionsError: the user holds a permission that the actor lacks.
    """
    with transaction():
        user = lock_user(user_id)
        require_may_act_on(actor, user_id)
        names = [name for name in (user.email, user.username) if name]
        end_blocks([*map(identifier_key, names), account_key(user_id)])
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
