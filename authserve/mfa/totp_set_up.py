"""Setting TOTP up, confirming it, and removing it.

A set-up is a row without `confirmed_at`, bound to the session or the pending sign-in that began it.
The confirmed secret works until a newer one is confirmed, and goes in that transaction.
"""

from collections.abc import Collection, Iterator
from dataclasses import field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import bindparam, delete, select, update

from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.clock import now
from authserve.core.errors import ReauthenticationRequiredError
from authserve.core.events import AuditAction
from authserve.core.frozen import frozen
from authserve.core.ids import new_id
from authserve.core.levels import Level
from authserve.database.emit import emit
from authserve.database.server_clock import server_now
from authserve.database.statements import UTCDateTime
from authserve.database.transactions import (
    delete_in_slices,
    dialect_insert,
    execute,
    read_all,
    transaction,
)
from authserve.mfa.assurance import SecondStep, can_add_code
from authserve.mfa.errors import FactorNotFoundError, InvalidCodeError, NoSetUpError
from authserve.mfa.mailbox_proof import request_mailbox_proof
from authserve.mfa.models import TotpFactor
from authserve.mfa.switch import (
    Owner,
    lock_owner,
    on_factor_removed,
    require_may_add,
    require_may_change,
)
from authserve.mfa.totp import (
    TABLE,
    CheckedCode,
    StoredTotp,
    check_code,
    draw_qr_code,
    make_uri,
    new_secret,
    seal,
    write_secret,
)
from authserve.settings.model import SETTINGS

SET_UP_LIFETIME = timedelta(minutes=15)
"""Time to confirm a set-up (chosen: a mailed code lasts ten minutes of it)."""

_IS_CONFIRMED, _IS_SET_UP = TABLE.c.confirmed_at.is_not(None), TABLE.c.confirmed_at.is_(None)
_MOMENT = bindparam("moment", type_=UTCDateTime)


@frozen(kw_only=True)
class SetUp:
    """A set-up as its owner gets it, once.

    Args:
        secret: in base 32, for apps without a camera.
        uri, qr_svg: see `totp.make_uri` and `totp.draw_qr_code`.
        expires_in: seconds until it must be confirmed.
        email_code_required: True if its confirmation needs the code that was mailed.
    """

    secret: str = field(repr=False)
    uri: str = field(repr=False)
    qr_svg: str = field(repr=False)
    expires_in: int
    email_code_required: bool


_REPLACED = ("id", "secret", "bound_to", "created_at", "expires_at")
"""Columns of a set-up that a newer one overwrites, since an account has one at a time."""


def set_up_totp(
    user: UserRef,
    *,
    amr: Collection[str],
    actor: Actor,
    request: RequestInfo,
) -> SetUp:
    """Begin a set-up in a session; the one before, if any, cannot be confirmed any more.

    Args:
        user: the account.
        amr: the authentication methods of the session. After a mailed code alone, a TOTP code
            would be the only factor of two.
        actor: the caller, with the session in which alone it can be confirmed.
        request: what the mail names as its origin.

    Raises:
        ReauthenticationRequiredError: the session has no factor that a TOTP code completes.
        SessionRevokedError, StepUpRequiredError, MfaOffError: see `switch.require_may_change` and
            `require_may_add`.
        UserNotFoundError: the account is gone or deactivated.
    """
    if actor.level < Level.AAL2 and not can_add_code(amr):
        max_age_secs = int(SETTINGS.get().fresh_ttl.total_seconds())
        raise ReauthenticationRequiredError(max_age_secs=max_age_secs)
    session_id = actor.current_session_id
    with transaction():
        owner = lock_owner(user.id)
        require_may_change(owner, actor)
        require_may_add(owner)
        secret = begin_set_up(owner, bound_to=session_id)
        is_code_required = request_mailbox_proof(owner, bound_to=session_id, request=request)
    return describe_set_up(secret, email=owner.email, email_code_required=is_code_required)


def begin_set_up(owner: Owner, *, bound_to: UUID) -> bytes:
    """Store a new secret that waits for its confirmation, in the open transaction.

    Args:
        owner: the account.
        bound_to: the session or pending sign-in in which alone it can be confirmed.
    """
    row, secret, moment = new_id(), new_secret(), now()
    insertion = dialect_insert(TotpFactor).values(
        id=row,
        user_id=owner.ref.id,
        secret=seal(row, secret),
        last_step=0,
        bound_to=bound_to,
        created_at=moment,
        expires_at=moment + SET_UP_LIFETIME,
    )
    newer = {name: insertion.excluded[name] for name in _REPLACED}
    execute(
        insertion.on_conflict_do_update(
            index_elements=["user_id"], index_where=_IS_SET_UP, set_=newer
        )
    )
    return secret


def describe_set_up(secret: bytes, *, email: str, email_code_required: bool) -> SetUp:
    """Return a set-up for its owner; drawing takes 20 ms (measured), so outside a transaction."""
    uri = make_uri(secret, account=email, issuer=SETTINGS.get().totp_issuer)
    return SetUp(
        secret=write_secret(secret),
        uri=uri,
        qr_svg=draw_qr_code(uri),
        expires_in=int(SET_UP_LIFETIME.total_seconds()),
        email_code_required=email_code_required,
    )


_FIND_SET_UP = select(
    TABLE.c.id, TABLE.c.secret, TABLE.c.last_step, server_now(_MOMENT).label("now")
).where(
    TABLE.c.user_id == bindparam("owner_id"),
    TABLE.c.bound_to == bindparam("holder_id"),
    TABLE.c.expires_at > _MOMENT,
    _IS_SET_UP,
)


def check_set_up(user_id: UUID, code: str, *, bound_to: UUID, now: datetime) -> CheckedCode:
    """Compare a code with the secret of a set-up.

    Args:
        user_id: the account.
        code: as given, `totp.CODE_DIGITS` digits.
        bound_to: see `begin_set_up`.
        now: the caller's current time.

    Raises:
        NoSetUpError: nothing is set up here, or not any more.
        InvalidCodeError: the code is wrong.
        FactorUnavailableError: the secret cannot be decrypted.
    """
    parameters = {"owner_id": user_id, "holder_id": bound_to, "moment": now}
    rows = read_all(_FIND_SET_UP, parameters)
    if not rows:
        raise NoSetUpError
    checked = check_code(StoredTotp(**rows[0]._mapping), code)
    if not isinstance(checked, CheckedCode):
        raise InvalidCodeError
    return checked


_CONFIRM = (
    update(TABLE)
    .where(TABLE.c.id == bindparam("factor_id"), TABLE.c.expires_at > _MOMENT, _IS_SET_UP)
    .values(
        confirmed_at=_MOMENT,
        last_step=bindparam("step"),
        last_used_at=_MOMENT,
        bound_to=None,
        expires_at=None,
    )
)


def confirm_set_up(
    owner: Owner,
    checked: CheckedCode,
    *,
    actor: Actor,
    request: RequestInfo,
    now: datetime,
) -> None:
    """Make a set-up the account's TOTP secret, in the open transaction; the former one goes.

    The step of the confirming code is spent by it.

    Args:
        owner: the account.
        checked: from `check_set_up`; a newer set-up has another id.
        actor, request: for the audit event of the former secret.
        now: the time of the confirmation.

    Raises:
        NoSetUpError: it was confirmed or replaced meanwhile, or has expired; the transaction must
            not go on.
    """
    has_former = _delete_confirmed(owner)
    parameters = {"factor_id": checked.factor_id, "step": checked.step, "moment": now}
    if not execute(_CONFIRM, parameters).rowcount:
        raise NoSetUpError
    if has_former:
        emit(
            AuditAction.FACTOR_REMOVED,
            actor=actor,
            subject=owner.ref,
            request=request,
            details={"factor": SecondStep.TOTP},
        )


def _delete_confirmed(owner: Owner) -> bool:
    mine = TABLE.c.user_id == owner.ref.id
    return execute(delete(TABLE).where(mine, _IS_CONFIRMED)).rowcount > 0


def remove_totp(user: UserRef, *, actor: Actor, request: RequestInfo) -> None:
    """Delete the TOTP secret of an account; see `switch.on_factor_removed`.

    Raises:
        FactorNotFoundError: it has none.
        MfaRequiredByPolicyError: it is the last usable factor, and the operator requires one.
        SessionRevokedError, StepUpRequiredError: see `switch.require_may_change`.
        UserNotFoundError: the account is gone or deactivated.
    """
    with transaction():
        owner = lock_owner(user.id)
        require_may_change(owner, actor)
        if not _delete_confirmed(owner):
            raise FactorNotFoundError
        on_factor_removed(owner, SecondStep.TOTP, actor=actor, request=request)


def purge_dead_set_ups() -> Iterator[int]:
    """Delete the set-ups that expired more than `SET_UP_LIFETIME` ago, slice by slice.

    Yields:
        The number of rows that each committed slice deleted.
    """
    is_dead = TotpFactor.expires_at < now() - SET_UP_LIFETIME
    return delete_in_slices(TotpFactor, TotpFactor.id, is_dead)
