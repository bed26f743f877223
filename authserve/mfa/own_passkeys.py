"""The passkeys of an account: adding, listing, changing and removing them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, delete, func, select, update

from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.clock import now
from authserve.core.events import AuditAction
from authserve.core.frozen import frozen
from authserve.core.ids import new_id
from authserve.database.emit import emit
from authserve.database.statements import table_of
from authserve.database.transactions import execute, insert_if_absent, read_all, transaction
from authserve.mail.policy import plain_name
from authserve.mfa.assurance import SecondStep
from authserve.mfa.ceremonies import NewPasskey
from authserve.mfa.challenges import ChallengeKind, ChallengeUse
from authserve.mfa.errors import (
    FactorNotFoundError,
    PasskeyTakenError,
    TooManyPasskeysError,
)
from authserve.mfa.factors import require_credential
from authserve.mfa.mailbox_proof import request_mailbox_proof
from authserve.mfa.models import Passkey
from authserve.mfa.passkey_options import PasskeyOwner, creation_options
from authserve.mfa.switch import (
    lock_owner,
    on_factor_removed,
    require_may_add,
    require_may_change,
)
from authserve.settings.model import SETTINGS

MAX_PASSKEYS = 10
"""Passkeys of one account (chosen: enough for every device of a person, and options stay short)."""

DEFAULT_NAME = "Passkey"
"""The name of a passkey that its owner gave none."""

TABLE = table_of(Passkey)


@frozen(kw_only=True)
class PasskeyView:
    """A passkey as its owner sees it.

    Args:
        is_synced: True if it was synced to other devices when it was last used.
        is_usable: True if it works now: it is of the present RP ID, and not suspected.
        is_clone_suspected: True once its counter fell back, until its owner accepts it.
    """

    id: UUID
    name: str
    created_at: datetime
    last_used_at: datetime | None
    is_synced: bool
    aaguid: UUID
    rp_id: str
    is_usable: bool
    is_clone_suspected: bool


_VIEW = select(
    TABLE.c.id,
    TABLE.c.name,
    TABLE.c.created_at,
    TABLE.c.last_used_at,
    TABLE.c.backed_up,
    TABLE.c.aaguid,
    TABLE.c.rp_id,
    TABLE.c.flagged_at,
)


def _view(row: Row[Any]) -> PasskeyView:
    is_suspected = row.flagged_at is not None
    return PasskeyView(
        id=row.id,
        name=row.name,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        is_synced=row.backed_up,
        aaguid=row.aaguid,
        rp_id=row.rp_id,
        is_usable=row.rp_id == SETTINGS.get().passkey_rp_id and not is_suspected,
        is_clone_suspected=is_suspected,
    )


_COUNT = select(func.count()).where(TABLE.c.user_id == bindparam("owner_id"))


def add_passkey(user_id: UUID, new: NewPasskey, *, name: str | None, now: datetime) -> PasskeyView:
    """Store a passkey in the open transaction, which must hold the lock on the user's row.

    The lock makes the count exact; a unique index lets one of several accounts have a credential.

    Args:
        user_id: the account.
        new: the checked registration.
        name: from its owner; None for `DEFAULT_NAME`.
        now: the time of the registration.

    Raises:
        TooManyPasskeysError: the account has `MAX_PASSKEYS`.
        PasskeyTakenError: the credential id is registered already.
    """
    if read_all(_COUNT, {"owner_id": user_id})[0][0] >= MAX_PASSKEYS:
        raise TooManyPasskeysError
    passkey_id = new_id()
    row = {
        "id": passkey_id,
        "user_id": user_id,
        "credential_id": new.credential_id,
        "public_key": new.public_key,
        "algorithm": new.algorithm,
        "rp_id": SETTINGS.get().passkey_rp_id,
        "sign_count": new.sign_count,
        "backup_eligible": new.is_backup_eligible,
        "backed_up": new.is_backed_up,
        "transports": list(new.transports),
        "aaguid": new.aaguid,
        "name": name or DEFAULT_NAME,
        "created_at": now,
        "counter_ignored": False,
    }
    if execute(insert_if_absent(Passkey), row).rowcount != 1:
        raise PasskeyTakenError
    return get_passkey(user_id, passkey_id)


def get_passkey(user_id: UUID, passkey_id: UUID) -> PasskeyView:
    """Return a passkey of an account.

    Raises:
        FactorNotFoundError: the account has no such passkey.
    """
    rows = read_all(_VIEW.where(TABLE.c.id == passkey_id, TABLE.c.user_id == user_id))
    if not rows:
        raise FactorNotFoundError
    return _view(rows[0])


def find_passkeys(
    user_id: UUID, *, limit: int, before: UUID | None = None
) -> Sequence[PasskeyView]:
    """Return the passkeys of an account, newest first.

    Args:
        user_id: the account.
        limit: greatest number of passkeys.
        before: only passkeys older than this id, for the next page.
    """
    statement = _VIEW.where(TABLE.c.user_id == user_id).order_by(TABLE.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(TABLE.c.id < before)
    return [_view(row) for row in read_all(statement)]


def begin_registration(
    user: UserRef, *, display_name: str | None, actor: Actor, request: RequestInfo
) -> tuple[dict[str, Any], bool]:
    """Return options to make a passkey in a session.

    Args:
        user: the account.
        display_name: its owner's name, which the authenticator shows.
        actor: the caller, with the session in which alone the answer is accepted.
        request: what the mail names as its origin.

    Returns:
        The options, and True if a code was mailed that must be given too.

    Raises:
        SessionRevokedError, StepUpRequiredError, MfaOffError: see `switch.require_may_change` and
            `require_may_add`.
        UserNotFoundError: the account is gone or deactivated.
    """
    session_id = actor.current_session_id
    with transaction():
        owner = lock_owner(user.id)
        require_may_change(owner, actor)
        require_may_add(owner)
        is_code_required = request_mailbox_proof(owner, bound_to=session_id, request=request)
    shown = PasskeyOwner(id=user.id, email=owner.email, display_name=display_name)
    return make_registration_options(shown, session_id=session_id), is_code_required


def make_registration_options(owner: PasskeyOwner, *, session_id: UUID) -> dict[str, Any]:
    """Return options to make a passkey in a session; nothing is checked, stored or mailed.

    For a page that shows its form again, or whose account needs no mailed code.
    """
    return creation_options(owner, ChallengeUse(ChallengeKind.REGISTER, session_id), now=now())


def change_passkey(
    user: UserRef,
    passkey_id: UUID,
    *,
    name: str | None = None,
    is_no_clone: bool = False,
    actor: Actor,
    request: RequestInfo,
) -> PasskeyView:
    """Rename a passkey, or accept one that was suspected to be a clone.

    Args:
        user: the account.
        passkey_id: of the passkey.
        name: the new one; None keeps it.
        is_no_clone: True if the owner says so: its counter is ignored from now on.
        actor, request: for the audit event.

    Raises:
        FactorNotFoundError: the account has no such passkey.
        SessionRevokedError, StepUpRequiredError: see `switch.require_may_change`.
        UserNotFoundError: the account is gone or deactivated.
    """
    mine = (TABLE.c.id == passkey_id) & (TABLE.c.user_id == user.id)
    with transaction():
        require_may_change(lock_owner(user.id), actor)
        if name is not None:
            execute(update(TABLE).where(mine).values(name=name))
        if is_no_clone:
            _clear_flag(user, passkey_id, actor=actor, request=request)
        return get_passkey(user.id, passkey_id)


def _clear_flag(user: UserRef, passkey_id: UUID, *, actor: Actor, request: RequestInfo) -> None:
    flagged = (
        (TABLE.c.id == passkey_id) & (TABLE.c.user_id == user.id) & TABLE.c.flagged_at.is_not(None)
    )
    clear = update(TABLE).where(flagged).values(flagged_at=None, counter_ignored=True)
    if execute(clear).rowcount:
        emit(
            AuditAction.FACTOR_UNFLAGGED,
            actor=actor,
            subject=user,
            request=request,
            details={"factor": "passkey", "factor_id": str(passkey_id)},
        )


def remove_passkey(user: UserRef, passkey_id: UUID, *, actor: Actor, request: RequestInfo) -> None:
    """Delete a passkey; see `switch.on_factor_removed`.

    Raises:
        FactorNotFoundError: the account has no such passkey.
        LastCredentialError: nothing else would open the account.
        MfaRequiredByPolicyError: it is the last usable factor, and the operator requires one.
        SessionRevokedError, StepUpRequiredError: see `switch.require_may_change`.
        UserNotFoundError: the account is gone or deactivated.
    """
    mine = (TABLE.c.id == passkey_id) & (TABLE.c.user_id == user.id)
    with transaction():
        owner = lock_owner(user.id)
        require_may_change(owner, actor)
        row = execute(delete(TABLE).where(mine).returning(TABLE.c.name)).one_or_none()
        if row is None:
            raise FactorNotFoundError
        require_credential(user.id)
        name = plain_name(row.name)
        on_factor_removed(owner, SecondStep.PASSKEY, name=name, actor=actor, request=request)
