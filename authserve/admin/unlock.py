"""What an operator does for a user who cannot sign in."""

from uuid import UUID

from authserve.core.actor import Actor, RequestInfo
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.ratelimit.throttle import account_key, end_blocks, identifier_key
from authserve.rbac.assignment import require_may_act_on
from authserve.users.accounts import lock_user, ref_of
from authserve.users.errors import AccountDisabledError
from authserve.users.events import ResetLinkMade, UserUnlocked
from authserve.verification.policy import LIFETIMES, Purpose
from authserve.verification.requests import make_reset_link

RESET_LINK_LIFETIME = LIFETIMES[Purpose.RESET_PASSWORD]


def unlock_user(user_id: UUID, *, actor: Actor, request: RequestInfo) -> None:
    """End the blocks that the login throttle has on a user's address, username and account.

    A password that was switched off stays off: only a new one replaces it
    (NIST SP 800-63B-4 §3.2.2).

    Raises:
        UserNotFoundError: there is no such account.
        InsufficientPermissionsError: its user may do more than the actor.
    """
    with transaction():
        user = lock_user(user_id)
        require_may_act_on(actor, user_id)
        names = [name for name in (user.email, user.username) if name]
        end_blocks([*map(identifier_key, names), account_key(user_id)])
        emit(UserUnlocked(actor=actor, subject=ref_of(user), request=request))


def issue_reset_link(user_id: UUID, *, actor: Actor, request: RequestInfo) -> str:
    """Return a link with which a user sets a new password, to hand over without a mail.

    Older reset links are dead at once. Sessions end when the link is used.

    Raises:
        UserNotFoundError: there is no such account.
        InsufficientPermissionsError: its user may do more than the actor.
        AccountDisabledError: the account is deactivated, so the link would not work.
    """
    with transaction():
        user = lock_user(user_id)
        require_may_act_on(actor, user_id)
        if not user.is_active:
            raise AccountDisabledError
        link = make_reset_link(ref_of(user), user.email)
        emit(ResetLinkMade(actor=actor, subject=ref_of(user), request=request))
    return link
