"""Making, finding, changing, switching and deleting accounts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, delete, exists, select, text, true, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.clock import now
from authserve.core.identifiers import canonical_login_identifier, search_key
from authserve.core.ids import read_id
from authserve.database.constraints import violated_constraint
from authserve.database.emit import emit
from authserve.database.transactions import db, read_all, require_transaction, transaction
from authserve.users.errors import (
    ChangedMeanwhileError,
    EmailTakenError,
    UsernameTakenError,
    UserNotFoundError,
)
from authserve.users.events import UserActivated, UserDeactivated, UserDeleted, UserProfileChanged
from authserve.users.models import User as User
from authserve.users.models import is_activated
from authserve.users.released_usernames import (
    release_username,
    require_may_rename,
    require_not_held,
)

_TAKEN = {"uq_users_email": EmailTakenError, "uq_users_username": UsernameTakenError}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """What an account starts with; address and username in canonical form.

    Args:
        password_hash: None for an account that waits for its owner to set a password.
    """

    email: str
    username: str | None = None
    display_name: str | None = None
    password_hash: str | None = field(default=None, repr=False)
    email_verified: bool = False


def add_user(new: NewUser) -> User:
    """Insert an account in the open transaction; the use case emits what it meant.

    Raises:
        EmailTakenError, UsernameTakenError: by the database's constraint, so exactly one of any
            number of simultaneous callers succeeds. The transaction is lost then.
    """
    moment = now()
    user = User(
        email=new.email,
        email_verified=new.email_verified,
        username=new.username,
        password_hash=new.password_hash,
        activated_at=None if new.password_hash is None else moment,
        created_at=moment,
        updated_at=moment,
    )
    _set_display_name(user, new.display_name)
    session = require_transaction()
    session.add(user)
    _flush(session)
    if new.username is not None:
        require_not_held({new.username: user.id})
    return user


def get_user(user_id: UUID) -> User:
    """The account with this id.

    Raises:
        UserNotFoundError: there is none (any more).
    """
    return _get_where(User.id == user_id)


def get_user_by_reference(reference: str) -> User:
    """Return the account that an operator names by its id, address or username.

    No text can be two of them: an address has an `@`, an id is longer than any username.

    Raises:
        UserNotFoundError: no account fits.
    """
    user_id = read_id(reference.strip())
    if user_id is not None:
        return _get_where(User.id == user_id)
    identifier = canonical_login_identifier(reference)
    if identifier is None:
        raise UserNotFoundError
    return _get_where(identifier_is(identifier))


def get_users_by_reference(references: Iterable[str]) -> list[User]:
    """Return the accounts that an operator means, each once; see `get_user_by_reference`.

    Raises:
        UserNotFoundError: no account fits one of several references, which the error names.
    """
    wanted = list(references)
    found: dict[UUID, User] = {}
    for reference in wanted:
        try:
            user = get_user_by_reference(reference)
        except UserNotFoundError as error:
            if len(wanted) == 1:
                raise
            raise UserNotFoundError(f"There is no such user: {reference!r}.") from error
        found.setdefault(user.id, user)
    return list(found.values())


def is_any_active(user_ids: Sequence[UUID]) -> bool:
    """Return True if one of these accounts can be used, as the open transaction sees it.

    An invited user who has not accepted yet cannot use the account.
    """
    condition = User.id.in_(user_ids) & User.is_active & is_activated()
    return bool(require_transaction().scalar(select(exists().where(condition))))


def is_any_account() -> bool:
    """Return True if there is an account, active or not."""
    return bool(read_all(select(exists(select(User.id))))[0][0])


def lock_accounts() -> None:
    """Keep accounts from being made or changed until the open transaction ends.

    SQLite's transactions lock the whole database anyway.
    """
    if db.engine.dialect.name == "postgresql":
        require_transaction().execute(text("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE"))


def find_by_email(email: str) -> User | None:
    """The account with this canonical address, or None."""
    with transaction() as session:
        return session.scalar(select(User).where(User.email == email))


def find_user(user_id: UUID) -> User | None:
    """The account with this id, or None."""
    with transaction() as session:
        return session.get(User, user_id)


def _get_where(condition: ColumnElement[bool]) -> User:
    with transaction() as session:
        user = session.scalar(select(User).where(condition))
    if user is None:
        raise UserNotFoundError
    return user


def identifier_is(identifier: str) -> ColumnElement[bool]:
    """Whether an account has this canonical address or username."""
    return (User.email if "@" in identifier else User.username) == identifier


def update_profile(
    user: UserRef, changes: Mapping[str, str | None], *, actor: Actor, request: RequestInfo
) -> User:
    """Change a username or display name; None removes it.

    Args:
        changes: `username` (canonical) and `display_name` (clean), or either, or neither.

    Raises:
        UsernameTakenError: another account has it, or it is held for one.
        UserNotFoundError: the account is gone.
        RateLimitedError: its owner has changed the username too often today.
    """
    with transaction() as session:
        found = session.get(User, user.id, with_for_update=True)
        if found is None:
            raise UserNotFoundError
        before = {name: getattr(found, name) for name in changes}
        changed = sorted(name for name in changes if changes[name] != before[name])
        if not changed:
            return found
        if "username" in changes:
            found.username = changes["username"]
        if "display_name" in changes:
            _set_display_name(found, changes["display_name"])
        mark_changed(found)
        _flush(session)
        if "username" in changed:
            _follow_username(user.id, before["username"], found.username, actor=actor)
        emit(
            UserProfileChanged(
                actor=actor, subject=user, request=request, details={"fields": changed}
            )
        )
    return found


def _follow_username(user_id: UUID, old: str | None, new: str | None, *, actor: Actor) -> None:
    """Hold the username that was given up, and refuse one that is held for another account."""
    if old is not None:
        if actor.user is not None and actor.user.id == user_id:
            require_may_rename(user_id)
        release_username(old, former_owner=user_id)
    if new is not None:
        require_not_held({new: user_id})


def verify_email(user: UserRef, email: str) -> None:
    """Note that an address is proven, in the open transaction.

    Raises:
        UserNotFoundError: it is not the address of an active account any more.
    """
    _update_email(user, User.email == email, email)


def change_email(user: UserRef, email: str) -> str:
    """Give an account another address that is proven, in the open transaction.

    Returns:
        The address before.

    Raises:
        EmailTakenError: another account has it, or was a moment faster; the transaction is lost.
        UserNotFoundError: the account is gone or deactivated.
    """
    session = require_transaction()
    before = session.scalar(select(User.email).where(User.id == user.id).with_for_update())
    if before is None:
        raise UserNotFoundError
    try:
        _update_email(user, true(), email)
    except IntegrityError as error:
        raise EmailTakenError from error
    return before


def set_email(user: UserRef, email: str, *, email_verified: bool) -> None:
    """Give an account an address by an administrator's word, in the open transaction.

    Raises:
        EmailTakenError: another account has it; the transaction is lost.
        UserNotFoundError: the account is gone.
    """
    try:
        result = require_transaction().execute(
            update(User)
            .where(User.id == user.id)
            .values(email=email, email_verified=email_verified, updated_at=now())
            .execution_options(synchronize_session=False)
        )
    except IntegrityError as error:
        raise EmailTakenError from error
    if result.rowcount != 1:  # type: ignore[attr-defined]
        raise UserNotFoundError


def mark_changed(user: User) -> None:
    """Move `updated_at` on, in the open transaction, with the row locked.

    It grows with every change, so that `expected_updated_at` also finds one of the same
    microsecond, or of a machine whose clock is behind.
    """
    user.updated_at = max(now(), user.updated_at + _TICK)


_TICK = timedelta(microseconds=1)


def require_unchanged(user_id: UUID, expected_updated_at: datetime) -> None:
    """Refuse to go on with an account that has changed, in the open transaction.

    The condition is part of an UPDATE, which holds the row until the transaction ends: of any
    number of callers with one expectation, the first succeeds.

    Raises:
        ChangedMeanwhileError: it has changed since, or is gone.
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
    """Note that an account's owner is invited now, in the open transaction."""
    require_transaction().execute(
        update(User)
        .where(User.id == user_id)
        .values(invited_at=now())
        .execution_options(synchronize_session=False)
    )


def lock_user(user_id: UUID) -> User:
    """An account as it is now, with everybody else who would change it waiting.

    Raises:
        UserNotFoundError: there is none.
    """
    found = require_transaction().get(User, user_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise UserNotFoundError
    return found


def _update_email(user: UserRef, condition: ColumnElement[bool], email: str) -> None:
    result = require_transaction().execute(
        update(User)
        .where(User.id == user.id, User.is_active, condition)
        .values(email=email, email_verified=True, updated_at=now())
        .execution_options(synchronize_session=False)
    )
    if result.rowcount != 1:  # type: ignore[attr-defined]
        raise UserNotFoundError


def activate(user_id: UUID, *, actor: Actor, request: RequestInfo) -> User:
    """Let a deactivated account be used again; an active one stays as it is.

    Raises:
        UserNotFoundError: there is no such account.
    """
    return _set_active(user_id, True, UserActivated, actor=actor, request=request)


def deactivate(user_id: UUID, *, actor: Actor, request: RequestInfo) -> User:
    """Lock an account out; its sessions end in the same transaction.

    Raises:
        UserNotFoundError: there is no such account.
        LastAdminError: by a handler of the event; the account stays as it was.
    """
    return _set_active(user_id, False, UserDeactivated, actor=actor, request=request)


def delete_user(user: UserRef, *, actor: Actor, request: RequestInfo) -> None:
    """Remove an account with all that is held on it; its audit events stay, without its details.

    Raises:
        UserNotFoundError: it is gone already.
        LastAdminError: by a handler of the event; the account stays as it was.
    """
    with transaction() as session:
        # The lock first, so that of two callers the second finds nothing.
        found = session.get(User, user.id, with_for_update=True)
        if found is None:
            raise UserNotFoundError
        emit(UserDeleted(actor=actor, subject=user, request=request))
        if found.username is not None:
            release_username(found.username, former_owner=None)
        session.execute(delete(User).where(User.id == user.id))


def _set_active(
    user_id: UUID,
    is_active: bool,
    event: type[UserActivated | UserDeactivated],
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
            emit(event(actor=actor, subject=ref_of(user), request=request))
    return user


def ref_of(user: User) -> UserRef:
    """The account as events name it."""
    return UserRef(user.id, user.audit_id)


def _set_display_name(user: User, display_name: str | None) -> None:
    user.display_name = display_name
    user.name_key = None if display_name is None else search_key(display_name)


def _flush(session: Session) -> None:
    try:
        session.flush()
    except IntegrityError as error:
        taken = _TAKEN.get(violated_constraint(error) or "")
        if taken is None:
            raise
        raise taken from error
