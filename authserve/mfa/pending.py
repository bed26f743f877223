"""Pending sign-ins, whose first step succeeded, and the `mfa_token` that names one.

The token is signed, and it carries a secret of which the row holds the digest. So neither a stolen
database nor a stolen signing secret makes one. It opens nothing but the calls of the second step.
"""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, ColumnElement, bindparam, insert, select, update

from authserve.core.actor import RequestInfo
from authserve.core.base64url import decode_base64url, encode_base64url
from authserve.core.clock import now
from authserve.core.crypto import digest, is_digest, random_bytes
from authserve.core.errors import InvalidTokenError, TokenExpiredError, UnauthenticatedError
from authserve.core.events import DomainEvent
from authserve.core.frozen import frozen
from authserve.core.ids import new_id
from authserve.core.levels import Proof
from authserve.database.statements import UTCDateTime, table_of
from authserve.database.transactions import delete_in_slices, execute, read_all, transaction
from authserve.mfa.errors import DeadPendingError, MfaTokenExpiredError, MfaTokenInvalidError
from authserve.mfa.models import PendingSignIn
from authserve.settings.model import Settings
from authserve.tokens.device import Device
from authserve.tokens.signing import TokenKind, sign, verify
from authserve.users.credentials import Credentials, get_credentials
from authserve.users.errors import AccountDisabledError, UserNotFoundError

MFA = TokenKind(name="mfa", header_type="mfa+jwt", claims=("sec",))

SECRET_BYTES = 16
"""Length of a token's secret: 128 bits (ASVS 7.2.3)."""

MAX_ATTEMPTS = 5
"""Second proofs that are compared for one pending sign-in (design; ASVS 6.6.3)."""

PURGE_DELAY = timedelta(hours=1)
"""Time for which rows outlive their tokens, longer than any difference between machines' clocks
(chosen)."""


class Purpose(StrEnum):
    """The step that a pending sign-in waits for."""

    VERIFY = "verify"
    ENROLL = "enroll"


LIFETIMES = {Purpose.VERIFY: timedelta(minutes=5), Purpose.ENROLL: timedelta(minutes=15)}
"""Lifetime of a pending sign-in (design): setting a factor up takes longer than using one."""

_TABLE = table_of(PendingSignIn)
_ID: BindParameter[UUID] = bindparam("pending_id")
_MOMENT = bindparam("moment", type_=UTCDateTime)

_FIND = select(_TABLE).where(_TABLE.c.id == _ID)
_IS_LIVE = (_TABLE.c.id == _ID) & _TABLE.c.used_at.is_(None) & (_TABLE.c.expires_at > _MOMENT)
_COUNT = (
    update(_TABLE)
    .where(_IS_LIVE, _TABLE.c.attempts < MAX_ATTEMPTS)
    .values(attempts=_TABLE.c.attempts + 1)
)
_SPEND = update(_TABLE).where(_IS_LIVE).values(used_at=_MOMENT)


@frozen(kw_only=True)
class Pending:
    """A live pending sign-in.

    Args:
        account: as it is now; active, and its password is still that of the first step.
        purpose: the step that it waits for.
        proofs: those of the first step.
        device_id: of the device at the first step, if a second factor was proven on it before.
        tries_left: the number of second proofs that are still compared for it.
        provider: the slug of the provider of the first step, if it was by one.
    """

    id: UUID
    account: Credentials
    purpose: Purpose
    proofs: frozenset[Proof]
    device_id: str | None
    tries_left: int
    provider: str | None


def begin_pending(
    account: Credentials,
    *,
    purpose: Purpose,
    proofs: Collection[Proof],
    device_id: str | None,
    request: RequestInfo,
    settings: Settings,
    now: datetime,
    provider: str | None = None,
) -> tuple[UUID, str]:
    """Store a sign-in whose first step has just succeeded, in the open transaction.

    Args:
        account: as read before the first step.
        purpose: the step that comes next.
        proofs: those of the first step.
        device_id: of the device, if a second factor was proven on it before.
        request: the origin of the first step.
        settings: for the token's issuer.
        now: the time of the first step.
        provider: the slug of the provider of the first step, if it was by one.

    Returns:
        The id of the pending sign-in, and its token.
    """
    pending_id, secret, expires_at = new_id(), random_bytes(SECRET_BYTES), now + LIFETIMES[purpose]
    row = {
        "id": pending_id,
        "user_id": account.ref.id,
        "purpose": purpose,
        "secret_digest": digest(secret),
        "proofs": sorted(proofs),
        "password_version": account.password_version,
        "device_id": device_id,
        "provider": provider,
        "ip": request.ip,
        "user_agent": request.user_agent,
        "attempts": 0,
        "created_at": now,
        "expires_at": expires_at,
    }
    execute(insert(_TABLE), row)
    claims: dict[str, Any] = {"sub": str(account.ref.id), "sec": encode_base64url(secret)}
    if device_id is not None:
        claims |= {"did": device_id, "pv": account.password_version}
    token = sign(
        MFA,
        claims,
        public_url=settings.public_url,
        issued_at=now,
        expires_at=expires_at,
        token_id=pending_id,
    )
    return pending_id, token


def read_pending(token: str, purpose: Purpose, *, settings: Settings, now: datetime) -> Pending:
    """Return the live pending sign-in of a token.

    Args:
        token: as presented.
        purpose: of the call; a token of the other purpose is refused.

    Raises:
        MfaTokenInvalidError: the token is not ours, of another kind or for another purpose.
        DeadPendingError: its sign-in was spent, ended or tried `MAX_ATTEMPTS` times, or the account
            has another password now.
        MfaTokenExpiredError: the sign-in took longer than its lifetime.
        AccountDisabledError: the account is not active; the token proves its password.
    """
    pending_id, user_id, secret = _read_token(token, settings, now)
    rows = read_all(_FIND, {"pending_id": pending_id})
    row = rows[0] if rows else None
    if row is None or row.user_id != user_id or not is_digest(row.secret_digest, secret):
        raise MfaTokenInvalidError
    account = _find_account(row.user_id)
    is_spent = row.used_at is not None or row.attempts >= MAX_ATTEMPTS
    if is_spent or account.password_version != row.password_version:
        raise DeadPendingError(account)
    if row.purpose != purpose:
        raise MfaTokenInvalidError
    if row.expires_at <= now:
        raise MfaTokenExpiredError
    return Pending(
        id=row.id,
        account=account,
        purpose=Purpose(row.purpose),
        proofs=frozenset(map(Proof, row.proofs)),
        device_id=row.device_id,
        tries_left=MAX_ATTEMPTS - row.attempts,
        provider=row.provider,
    )


def find_device(token: str, *, settings: Settings, now: datetime) -> Device | None:
    """Return the device that a token names, without the database; for limits by device.

    Returns:
        None if the account knew none at the first step, or the token is not valid.
    """
    try:
        claims = verify(MFA, token, public_url=settings.public_url, now=now)
        return Device(UUID(claims["sub"]), str(claims["did"]), int(claims["pv"]))
    except (UnauthenticatedError, KeyError, TypeError, ValueError):
        return None


def find_devices(user_id: UUID) -> list[str]:
    """Return the ids of the known devices from which an account's recent sign-ins went on.

    Rows live longer than any block of the throttle, so no blocked device is missing.
    """
    devices = select(_TABLE.c.device_id).where(
        _TABLE.c.user_id == user_id, _TABLE.c.device_id.is_not(None)
    )
    return [row.device_id for row in read_all(devices.distinct())]


def _read_token(token: str, settings: Settings, now: datetime) -> tuple[UUID, UUID, bytes]:
    """Return the ids of row and user and the secret, of a token whose signature is right."""
    try:
        claims = verify(MFA, token, public_url=settings.public_url, now=now)
    except InvalidTokenError as error:
        raise MfaTokenInvalidError from error
    except TokenExpiredError as error:
        raise MfaTokenExpiredError from error
    return _id_in(claims["jti"]), UUID(claims["sub"]), _secret_in(claims["sec"])


def _id_in(value: Any) -> UUID:
    try:
        return UUID(value)
    except (AttributeError, TypeError, ValueError) as error:
        raise MfaTokenInvalidError from error


def _secret_in(value: Any) -> bytes:
    try:
        return decode_base64url(value)
    except (TypeError, ValueError) as error:
        raise MfaTokenInvalidError from error


def _find_account(user_id: UUID) -> Credentials:
    try:
        account = get_credentials(user_id)
    except UserNotFoundError as error:
        raise MfaTokenInvalidError from error
    if not account.is_active:
        raise AccountDisabledError
    return account


def count_attempt(pending: Pending, *, now: datetime) -> None:
    """Count an attempt, and commit, before its proof is compared.

    So concurrent attempts too are compared `MAX_ATTEMPTS` times at most.

    Raises:
        MfaTokenInvalidError: it was the last attempt already, or the sign-in has ended meanwhile.
        TransactionNestingError: a transaction is open, which could take the count back.
    """
    with transaction(durable=True):
        is_counted = execute(_COUNT, {"pending_id": pending.id, "moment": now}).rowcount == 1
    if not is_counted:
        raise MfaTokenInvalidError


def spend_pending(pending: Pending, *, now: datetime) -> bool:
    """Spend a pending sign-in in the open transaction; of concurrent callers one gets True.

    The caller has counted its own attempt, so their number is no condition here.

    Returns:
        False if it was spent, ended or has expired; then the transaction must not go on.
    """
    return execute(_SPEND, {"pending_id": pending.id, "moment": now}).rowcount == 1


def end_pending_of_subject(event: DomainEvent) -> None:
    """Handle a deactivation or a removed identity: end the account's pending sign-ins.

    They stay ended when the account is active again. A new password ends them by its version.
    """
    if event.subject is not None:
        _end(_TABLE.c.user_id == event.subject.id)


def end_enrollments_of_changed_email(event: DomainEvent) -> None:
    """Handle a changed address: end the enrolments that a code to the old one has begun or needs.

    Otherwise a reader of the old mailbox could still add the account's first factor.
    """
    if event.subject is not None:
        _end((_TABLE.c.user_id == event.subject.id) & (_TABLE.c.purpose == Purpose.ENROLL))


def end_pending_of_provider(slug: str) -> None:
    """End the pending sign-ins whose first step was by a provider, in the open transaction."""
    _end(_TABLE.c.provider == slug)


def _end(condition: ColumnElement[bool]) -> None:
    execute(update(_TABLE).where(condition, _TABLE.c.used_at.is_(None)).values(used_at=now()))


def purge_dead_pending() -> Iterator[int]:
    """Delete the pending sign-ins that expired more than `PURGE_DELAY` ago, slice by slice.

    Yields:
        The number of rows that each committed slice deleted.
    """
    is_dead = PendingSignIn.expires_at < now() - PURGE_DELAY
    return delete_in_slices(PendingSignIn, PendingSignIn.id, is_dead)
