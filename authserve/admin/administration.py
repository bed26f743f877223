"""Use cases of administrators and operators on other users' accounts.

An administrator must not act on a user who holds a permission that the administrator lacks. The
check runs while the user's row is locked, so a concurrent change cannot bypass it.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

from authserve.core.actor import Actor, RequestInfo
from authserve.core.events import AuditAction
from authserve.core.frozen import frozen
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.mail.notices import notify
from authserve.mail.policy import MailKind
from authserve.rbac.assignment import (
    assign_initial_roles,
    holders_of,
    require_may_act_on,
    require_may_grant,
    require_role,
    roles_of,
    roles_of_many,
    set_roles,
)
from authserve.rbac.policy import USER_ROLE
from authserve.sessions.policy import RevokeReason
from authserve.sessions.revoke import end_sessions
from authserve.users.accounts import (
    NewUser,
    ProfileChanges,
    User,
    activate,
    add_user,
    deactivate,
    delete_user,
    lock_user,
    ref_of,
    require_unchanged,
    update_profile,
)
from authserve.users.email_changes import set_email
from authserve.users.errors import AlreadyActiveError, OwnAccountError
from authserve.users.lists import Position, UserFilters, page_of_users, position_of
from authserve.verification.policy import Purpose
from authserve.verification.requests import (
    cancel_pending,
    invite,
    request_by_address,
)

PAGE_SIZE = 200  # Accounts read by one statement (chosen).


@frozen()
class UserWithRoles:
    """An account and the names of its roles."""

    user: User
    roles: Sequence[str]


class AccountChanges(ProfileChanges, total=False):
    """Changes of an account; a missing field stays as it is.

    Args:
        email: in canonical form.
        expected_updated_at: the account's `updated_at` that the administrator last saw.
    """

    email: str
    email_verified: bool
    is_active: bool
    expected_updated_at: datetime


_FOR_OTHERS_ONLY = frozenset({"email", "email_verified", "is_active"})
"""The changes that administrators cannot make to their own account here."""


def with_roles(user: User) -> UserWithRoles:
    """Return the account with the names of its roles."""
    return UserWithRoles(user, roles_of(user.id))


def list_users(
    *, role: str | None = None, is_active: bool | None = None
) -> Iterator[UserWithRoles]:
    """Yield every matching account, oldest first, in bounded memory.

    Raises:
        RoleNotFoundError: the role does not exist.
    """
    if role is not None:
        require_role(role)
    ids = None if role is None else holders_of(role)
    filters = UserFilters(is_active=is_active, ids=ids)
    after: Position | None = None
    while users := page_of_users(filters, after=after, limit=PAGE_SIZE):
        held = roles_of_many([user.id for user in users])
        for user in users:
            yield UserWithRoles(user, held[user.id])
        after = position_of(users[-1])


def create_user(
    new: NewUser, *, roles: Iterable[str], actor: Actor, request: RequestInfo
) -> UserWithRoles:
    """Create an account for another person; it always gets the role `user` too.

    Raises:
        EmailTakenError, UsernameTakenError: another account has the address or username.
        RoleNotFoundError: one of the roles does not exist.
    """
    names = sorted({USER_ROLE, *roles})
    with transaction():
        user = add_user(new)
        assign_initial_roles(ref_of(user), names)
        emit(
            AuditAction.USER_CREATED,
            actor=actor,
            subject=ref_of(user),
            request=request,
            details={"roles": names},
        )
    return UserWithRoles(user, names)


def invite_user(
    new: NewUser, *, roles: Sequence[str], actor: Actor, request: RequestInfo
) -> UserWithRoles:
    """Create an account and mail its owner a link to choose the password.

    Raises:
        InsufficientPermissionsError: a role has a permission that the actor lacks.
        EmailTakenError, UsernameTakenError, RoleNotFoundError: no account was created.
    """
    names = sorted({USER_ROLE, *roles})
    with transaction():
        user = add_user(new)
        assign_initial_roles(ref_of(user), names)
        require_may_grant(actor, names)
        _invite(user, {"roles": names}, actor=actor, request=request)
    return UserWithRoles(user, names)


def invite_again(user_id: UUID, *, actor: Actor, request: RequestInfo) -> None:
    """Send an invitation again; the previous link stops working.

    Raises:
        UserNotFoundError, InsufficientPermissionsError: see `change_account`.
        AlreadyActiveError: the user has already activated the account.
    """
    with _acting_on(user_id, actor) as user:
        if user.is_activated:
            raise AlreadyActiveError
        _invite(user, {}, actor=actor, request=request)


def _invite(
    user: User, details: dict[str, list[str]], *, actor: Actor, request: RequestInfo
) -> None:
    invite(ref_of(user), user.email)
    emit(
        AuditAction.USER_INVITED,
        actor=actor,
        subject=ref_of(user),
        request=request,
        details=details,
    )


def change_account(
    user_id: UUID, changes: AccountChanges, *, actor: Actor, request: RequestInfo
) -> UserWithRoles:
    """Change another user's account: apply all changes or none.

    A new address is unverified unless `email_verified` is True; the old address gets a notice, and
    all pending links of the user stop working. Deactivation ends every session in the same
    transaction.

    Raises:
        UserNotFoundError: the account does not exist.
        InsufficientPermissionsError: the user holds a permission that the actor lacks.
        OwnAccountError: the account is the actor's, and a change is one of its address, of its
            verification or of its activity.
        ChangedMeanwhileError: the account changed after `expected_updated_at`.
        EmailTakenError, UsernameTakenError, LastAdminError: nothing was changed.
    """
    if not _FOR_OTHERS_ONLY.isdisjoint(changes):
        _require_other_account(actor, user_id)
    with _acting_on(user_id, actor, changes.get("expected_updated_at")) as user:
        _change_email(user, changes, actor=actor, request=request)
        if "username" in changes or "display_name" in changes:
            update_profile(ref_of(user), changes, actor=actor, request=request)
        if "is_active" in changes:
            switch = activate if changes["is_active"] else deactivate
            switch(user_id, actor=actor, request=request)
        return UserWithRoles(lock_user(user_id), roles_of(user_id))


def _change_email(
    user: User, changes: AccountChanges, *, actor: Actor, request: RequestInfo
) -> None:
    ref, old_email = ref_of(user), user.email
    email, email_verified = changes.get("email", old_email), changes.get("email_verified")
    if email != old_email:
        set_email(ref, email, email_verified=email_verified or False)
        cancel_pending(user.id, old_email)
        notify(MailKind.EMAIL_CHANGED, old_email, user.id)
        emit(AuditAction.USER_EMAIL_CHANGED, actor=actor, subject=ref, request=request)
    elif email_verified is not None and email_verified != user.email_verified:
        set_email(ref, old_email, email_verified=email_verified)
        details = {"email_verified": email_verified}
        emit(
            AuditAction.USER_EMAIL_VERIFIED,
            actor=actor,
            subject=ref,
            request=request,
            details=details,
        )


def change_roles(
    user_id: UUID,
    roles: Sequence[str],
    *,
    expected_updated_at: datetime | None = None,
    actor: Actor,
    request: RequestInfo,
) -> UserWithRoles:
    """Replace a user's roles with exactly these.

    Args:
        expected_updated_at: the account's `updated_at` that the administrator last saw.

    Raises:
        UserNotFoundError, ChangedMeanwhileError, RoleNotFoundError, LastAdminError: nothing was
            changed.
        InsufficientPermissionsError: the user's old or new roles have a permission that the actor
            lacks.
    """
    with _acting_on(user_id, actor, expected_updated_at) as user:
        names = set_roles(ref_of(user), roles, actor=actor, request=request)
        require_may_grant(actor, names)
    return UserWithRoles(user, names)


def end_all_sessions(user_id: UUID, *, actor: Actor, request: RequestInfo) -> None:
    """End all sessions of a user.

    Raises:
        UserNotFoundError, InsufficientPermissionsError: see `change_account`.
    """
    with _acting_on(user_id, actor) as user:
        end_sessions(ref_of(user), RevokeReason.ENDED_BY_ADMIN, actor=actor, request=request)


def remove_user(user_id: UUID, *, actor: Actor, request: RequestInfo) -> None:
    """Delete another user's account permanently.

    Raises:
        OwnAccountError: the account is the actor's own.
        UserNotFoundError, InsufficientPermissionsError, LastAdminError: nothing was deleted.
    """
    _require_other_account(actor, user_id)
    with _acting_on(user_id, actor) as user:
        delete_user(ref_of(user), actor=actor, request=request)


def trigger_password_reset(user_id: UUID, *, actor: Actor, request: RequestInfo) -> None:
    """Mail a user a reset link and end all sessions; only the user sees the link.

    Raises:
        UserNotFoundError, InsufficientPermissionsError: see `change_account`.
    """
    with _acting_on(user_id, actor) as user:
        ref = ref_of(user)
        request_by_address(Purpose.RESET_PASSWORD, user.email)
        end_sessions(ref, RevokeReason.ENDED_BY_ADMIN, actor=actor, request=request)
        emit(AuditAction.USER_PASSWORD_RESET_TRIGGERED, actor=actor, subject=ref, request=request)


def _require_other_account(actor: Actor, user_id: UUID) -> None:
    if actor.user is not None and actor.user.id == user_id:
        raise OwnAccountError


@contextmanager
def _acting_on(
    user_id: UUID, actor: Actor, expected_updated_at: datetime | None = None
) -> Iterator[User]:
    with transaction():
        user = lock_user(user_id)
        require_may_act_on(actor, user_id)
        if expected_updated_at is not None:
            require_unchanged(user_id, expected_updated_at)
        yield user
