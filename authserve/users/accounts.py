"""Accounts: create, change, activate, deactivate and delete."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field
from datetime import datetime, timedelta
from typing import TypedDict
from uuid import UUID

from sqlalchemy import delete, insert, text, update
from sqlalchemy.exc import IntegrityError

from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.clock import now
from authserve.core.events import AuditAction
from authserve.core.frozen import frozen
from authserve.core.identifiers import search_key
from authserve.core.ids import new_id
from authserve.database.constraints import violated_constraint
from authserve.database.emit import emit
from authserve.database.statements import PreparedStatement
from authserve.database.transactions import db, execute_prepared, require_transaction, transaction
from authserve.users.errors import (
    ChangedMeanwhileError,
    EmailTakenError,
    UsernameTakenError,
    UserNotFoundError,
)
from authserve.users.models import TABLE
from authserve.users.models import User as User
from authserve.users.released_usernames import (
    release_username,
    require_may_rename,
    require_not_held,
)

_TAKEN = {"uq_users_email": EmailTakenError, "uq_users_username": UsernameTakenError}


@frozen(kw_only=True)
class NewUser:
    """Data of a new account; address and username in canonical form.

    Args:
        password_hash: None if the owner has yet to set a password.
        locale: the language of the owner's mails, one of `LANGUAGE_NAMES`; None if it is unknown.
        has_credential: True if the owner can sign in without a password, so needs no invitation.
    """

    email: str
    username: str | None = None
    display_name: str | None = None
    password_hash: str | None = field(default=None, repr=False)
    email_verified: bool = False
    locale: str | None = None
    has_credential: bool = False


class ProfileChanges(TypedDict, total=False):
    """Changes of a profile; a missing field stays as it is, and None removes its value.

    Args:
        username: in canonical form.
        display_name: without control characters.
        locale: one of `LANGUAGE_NAMES`.
    """

    username: str | None
    display_name: str | None
    locale: str | None


def add_user(new: NewUser) -> User:
    """Insert an account in the open transaction; the calling use case emits the event.

    Raises:
        EmailTakenError: another account has the address.
        UsernameTakenError: another account has the username, or it is held for one. Unique
            constraints let exactly one of several simultaneous callers succeed. After either
            error the transaction must not go on.
    """
    moment = now()
    user_id = new_id()
    is_activated = new.password_hash is not None or new.has_credential
    user = User(
        id=user_id,
        audit_id=user_id,
        email=new.email,
        email_verified=new.email_verified,
        username=new.username,
        locale=new.locale,
        password_hash=new.password_hash,
        password_version=0,
        failed_sign_ins=0,
        failed_second_factors=0,
        is_active=True,
        mfa_enabled=False,
        activated_at=moment if is_activated else None,
        created_at=moment,
        updated_at=moment,
    )
    _set_display_name(user, new.display_name)
    with _reporting_taken():
        execute_prepared(_INSERT, {column.key: getattr(user, column.key) for column in TABLE.c})
    if new.username is not None:
        require_not_held({new.username: user.id})
    return user


_INSERT = PreparedStatement(insert(TABLE), name="add_user")


def lock_accounts() -> None:
    """Lock all accounts against inserts and changes until the open transaction ends.

    On SQLite a transaction locks the whole database anyway.
    """
    if db.engine.dialect.name == "postgresql":
        require_transaction().execute(text("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE"))


def update_profile(
    user: UserRef, changes: ProfileChanges, *, actor: Actor, request: RequestInfo
) -> User:
    """Change a username, a display name or the language of mails and pages.

    Raises:
        UsernameTakenError: another account has the username, or it is held for one.
        UserNotFoundError: the account is gone.
        RateLimitedError: the owner gave up `MAX_RENAMES_A_DAY` usernames within a day.
    """
    with transaction() as session:
        found = lock_user(user.id)
        old_username = found.username
        username = changes.get("username", old_username)
        display_name = changes.get("display_name", found.display_name)
        changed = ["display_name"] if display_name != found.display_name else []
        changed += ["username"] if username != old_username else []
        locale = changes.get("locale", found.locale)
        changed += ["locale"] if locale != found.locale else []
        if not changed:
            return found
        found.username, found.locale = username, locale
        _set_display_name(found, display_name)
        mark_changed(found)
        with _reporting_taken():
            session.flush()
        if username != old_username:
            _follow_username(user.id, old_username, username, actor=actor)
        emit(
            AuditAction.USER_PROFILE_CHANGED,
            actor=actor,
            subject=user,
            request=request,
            details={"fields": changed},
        )
    return found


def _follow_username(user_id: UUID, old: str | None, new: str | None, *, actor: Actor) -> None:
    """Hold the old username for its owner, and refuse a new one held for another account."""
    if old is not None:
        if actor.user is not None and actor.user.id == user_id:
            require_may_rename(user_id)
        release_username(old, former_owner=user_id)
    if new is not None:
        require_not_held({new: user_id})


def mark_changed(user: User) -> None:
    """Increase `updated_at`, in the open transaction, with the row locked.

    It always grows, so `require_unchanged` also detects a change in the same microsecond, or one
    by a machine whose clock is behind.
    """
    user.updated_at = max(now(), user.updated_at + _TICK)


_TICK = timedelta(microseconds=1)


def require_unchanged(user_id: UUID, expected_updated_at: datetime) -> None:
    """Refuse an account that has changed since `expected_updated_at`, in the open transaction.

    The check is an UPDATE, which locks the row until the transaction ends: of several callers with
    the same expectation, only the first to change the account succeeds.

    Raises:
        ChangedMeanwhileError: the account has changed, or is gone.
    """
    result = require_transaction().execute(
        update(User)
        .where(User.id == user_id, User.updated_at == expected_updated_at)
        .values(updated_at=User.updated_at)
        .execution_options(synchronize_session=False)
    )
    if result.rowcount != 1:  # type: ignore[attr-defined]
        raise ChangedMeanwhileError


def note_invited(user_id: UUID) -> None:
    """Record now as the time of an account's invitation, in the open transaction."""
    require_transaction().execute(
        update(User)
        .where(User.id == user_id)
        .values(invited_at=now())
        .execution_options(synchronize_session=False)
    )


def lock_user(user_id: UUID) -> User:
    """Return an account as it is now, locked against changes until the open transaction ends.

    Raises:
        UserNotFoundError: there is no such account.
    """
    found = require_transaction().get(User, user_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise UserNotFoundError
    return found


def activate(user_id: UUID, *, actor: Actor, request: RequestInfo) -> User:
    """Activate a deactivated account; an active one does not change.

    Raises:
        UserNotFoundError: there is no such account.
    """
    return _set_active(user_id, True, AuditAction.USER_ACTIVATED, actor=actor, request=request)


def deactivate(user_id: UUID, *, actor: Actor, request: RequestInfo) -> User:
    """Deactivate an account; its sessions end in the same transaction.

    Raises:
        UserNotFoundError: there is no such account.
        LastAdminError: raised by a handler of the event; the account does not change.
    """
    return _set_active(user_id, False, AuditAction.USER_DEACTIVATED, actor=actor, request=request)


def delete_user(user: UserRef, *, actor: Actor, request: RequestInfo) -> None:
    """Delete an account and its data; its audit events stay, without their details.

    Raises:
        UserNotFoundError: the account is gone already.
        LastAdminError: raised by a handler of the event; the account does not change.
    """
    with transaction() as session:
        # Lock first, so that the second of two callers finds no account.
        found = lock_user(user.id)
        emit(AuditAction.USER_DELETED, actor=actor, subject=user, request=request)
        if found.username is not None:
            release_username(found.username, former_owner=None)
        session.execute(delete(User).where(User.id == user.id))


def _set_active(
    user_id: UUID,
    is_active: bool,
    action: AuditAction,
    *,
    actor: Actor,
    request: RequestInfo,
) -> User:
    with transaction() as session:
        result = session.execute(
            update(User)
            .where(User.id == user_id, User.is_active.is_not(is_active))
            .values(is_active=is_active, updated_at=now())
        )
        user = session.get(User, user_id, populate_existing=True)
        if user is None:
            raise UserNotFoundError
        if result.rowcount:  # type: ignore[attr-defined]
            emit(action, actor=actor, subject=ref_of(user), request=request)
    return user


def ref_of(user: User) -> UserRef:
    """Return the reference to an account that events carry."""
    return UserRef(user.id, user.audit_id)


def _set_display_name(user: User, display_name: str | None) -> None:
    user.display_name = display_name
    user.name_key = None if display_name is None else search_key(display_name)


@contextmanager
def _reporting_taken() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        taken = _TAKEN.get(violated_constraint(error) or "")
        if taken is None:
            raise
        raise taken from error
