"""Mailed codes: what they are bound to, and requesting, trying, spending and purging them.

A code has eight digits. It is an HMAC of its row's id, and the row has the id of the message that
carries it; so a retried mail repeats the code, and neither the database nor a token that a client
holds is enough to work it out. Requests only enqueue: the worker writes the row and sends the mail
(`worker.py`), so a code lasts ten minutes from the hand-over, however late that is.

A code before an account's first factor (`CodePurpose.ENROLL`) takes three calls:

1. `request_enrollment_code(user, email=…, bound_to=…, request=…)`, in the open transaction. What it
   is bound to is the id of the session or of the pending sign-in that sets the factor up; asking
   again under the same id ends the code before. The account's address must be its present one.
2. `check_enrollment_code(code, user_id=…, bound_to=…)`, with no transaction open, since the try
   stays counted. It returns the code, or None for a wrong one: answer `invalid_code`.
3. `spend_code(found)`, in the transaction that stores the factor. If it returns False,
   another request was faster: raise, so that the transaction rolls back. A refused confirmation
   calls only 2., so it spends nothing. The code has proven `found.email`.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, delete, select, update

from authserve.core.actor import RequestInfo, UserRef
from authserve.core.clock import now
from authserve.core.crypto import KEYRING, digest, is_equal
from authserve.core.events import DomainEvent
from authserve.core.frozen import frozen
from authserve.database.statements import UTCDateTime, table_of
from authserve.database.transactions import (
    delete_in_slices,
    execute,
    insert_if_absent,
    read_all,
    write_repeatably,
)
from authserve.mail.notices import describe_request
from authserve.mail.policy import MailKind
from authserve.mfa.models import EmailCode
from authserve.outbox.enqueue import enqueue
from authserve.outbox.policy import HORIZON

KEY_PURPOSE = "email-code"

EMAIL_CODE_DIGITS = 8
"""Decimal digits of a code (design): NIST SP 800-63B-4 §3.1.3.2 asks for six."""

CODE_LIFETIME = timedelta(minutes=10)
"""Lifetime of a code from the latest try to send its mail (ASVS 6.5.5, NIST SP 800-63B-4
§3.1.3.2: at most 10 minutes)."""

MAX_ATTEMPTS = 5
"""Codes that are compared with one mailed code (design; ASVS 6.6.3)."""

MAX_LIVE_CODES = 3
"""Codes of one purpose that are live for one address (design). A further request gets no mail, so
that no request ends the code of another one."""

CODE_RETENTION = HORIZON
"""Time for which rows outlive their codes. While a row is there, a message that is delivered once
more cannot make its code anew; after `HORIZON` no message is delivered."""

_TABLE = table_of(EmailCode)


class CodePurpose(StrEnum):
    """The one purpose for which a code is accepted."""

    SIGN_IN = "sign_in"
    ENROLL = "enroll"


@frozen(kw_only=True)
class FoundCode:
    """A live code that was given correctly, and is not spent yet.

    Args:
        id: of its row.
        user_id: the account that it was mailed to.
        email: the address that it has proven.
    """

    id: UUID
    user_id: UUID
    email: str


@frozen()
class Trial:
    """The outcome of a try.

    Args:
        user_id: of the account whose live code was tried; None without one.
        found: the code, if it was right.
    """

    user_id: UUID | None
    found: FoundCode | None


def request_enrollment_code(
    user: UserRef, *, email: str, bound_to: UUID, request: RequestInfo
) -> None:
    """Enqueue a code before an account's first factor, in the open transaction.

    Args:
        user: the account.
        email: its present address.
        bound_to: the session or pending sign-in in which alone the code is accepted. An older code
            of it is dead at once.
        request: what the mail names as the origin.
    """
    handle = _enrollment_handle(bound_to)
    payload = {
        "email": email,
        "handle": handle.hex(),
        "values": describe_request(request, now()),
    }
    topic = f"{MailKind.ENROLLMENT_CODE}:{bound_to}"
    enqueue(MailKind.ENROLLMENT_CODE, payload, topic=topic, user_id=user.id)
    execute(delete(_TABLE).where(_TABLE.c.handle_digest == handle))


def check_enrollment_code(code: str, *, user_id: UUID, bound_to: UUID) -> FoundCode | None:
    """Count a try and return the code if it is right; no transaction may be open.

    Args:
        code: eight digits, as the user typed them.
        user_id: the account that enrols.
        bound_to: the session or pending sign-in that enrols; see `request_enrollment_code`.

    Returns:
        The code, or None: it is wrong, was never mailed, has expired, was spent, or was tried
        `MAX_ATTEMPTS` times.
    """
    trial = try_code(code, CodePurpose.ENROLL, handle=_enrollment_handle(bound_to))
    return trial.found if trial.user_id == user_id else None


def _enrollment_handle(bound_to: UUID) -> bytes:
    return digest(bound_to.bytes)


_IS_LIVE = _TABLE.c.used_at.is_(None) & (
    _TABLE.c.expires_at > bindparam("moment", type_=UTCDateTime)
)

_COUNT_TRY = (
    update(_TABLE)
    .where(
        _TABLE.c.handle_digest == bindparam("handle"),
        _TABLE.c.purpose == bindparam("of_purpose"),
        _TABLE.c.attempts < MAX_ATTEMPTS,
        _IS_LIVE,
    )
    .values(attempts=_TABLE.c.attempts + 1)
    .returning(_TABLE.c.id, _TABLE.c.user_id, _TABLE.c.email)
)


def try_code(code: str, purpose: CodePurpose, *, handle: bytes) -> Trial:
    """Count a try durably, then compare; so parallel guesses are compared `MAX_ATTEMPTS` times.

    Without a live code the same work is done, so the time reveals no account.

    Args:
        code: eight digits.
        purpose: the use that the code is given for.
        handle: the SHA-256 of what the code is bound to (ASVS 6.6.2).

    Raises:
        TransactionNestingError: a transaction is open, which could roll the try back.
    """
    # If only the answer to the statement was lost, its repetition counts one try too many.
    rows = write_repeatably(_COUNT_TRY, {"handle": handle, "of_purpose": purpose, "moment": now()})
    row = rows[0] if rows else None
    is_right = _is_code_of(UUID(int=0) if row is None else row.id, code)
    if row is None:
        return Trial(None, None)
    found = FoundCode(id=row.id, user_id=row.user_id, email=row.email)
    return Trial(row.user_id, found if is_right else None)


def spend_code(found: FoundCode) -> bool:
    """Spend a code in the open transaction; of concurrent callers only one gets True.

    Returns:
        False if another request has spent or ended it, or it has expired; then the transaction
        must not go on.
    """
    moment = now()
    spend = update(_TABLE).where(_TABLE.c.id == found.id, _IS_LIVE).values(used_at=moment)
    return execute(spend, {"moment": moment}).rowcount == 1


def code_of(message_id: UUID) -> str:
    """Return the code of a message: always the same, and never stored."""
    return _digits(KEYRING.get().mac(KEY_PURPOSE, message_id.bytes))


def _is_code_of(message_id: UUID, code: str) -> bool:
    """Return True if a code is that of a message, under the current secret or a fallback."""
    macs = KEYRING.get().accepted_macs(KEY_PURPOSE, message_id.bytes)
    return any(is_equal(code.encode(), _digits(mac).encode()) for mac in macs)


def _digits(mac: bytes) -> str:
    # The remainder of 64 bits prefers no code by more than one in 10^11.
    number = int.from_bytes(mac[:8], "big") % 10**EMAIL_CODE_DIGITS
    return f"{number:0{EMAIL_CODE_DIGITS}}"


def ensure_code(
    message_id: UUID,
    purpose: CodePurpose,
    *,
    handle: bytes,
    user_id: UUID,
    email: str,
    requested_at: datetime,
    replaces_oldest: bool = False,
) -> bool:
    """Write the row of a message's code, or renew its lifetime if the message is retried.

    It runs in the open transaction, which must hold the lock on the user's row: workers count the
    live codes of an address one after the other.

    Args:
        message_id: its id, and the row's.
        handle: see `try_code`.
        user_id, email: the recipient.
        requested_at: the time of the request.
        replaces_oldest: True ends the oldest code of an address that has `MAX_LIVE_CODES`, for a
            request from a device of the account's owner: strangers' requests must not lock it out.

    Returns:
        False if the mail has become pointless: the code was spent or replaced, or the address has
        `MAX_LIVE_CODES` other live codes.
    """
    moment = now()
    renew = update(_TABLE).where(_TABLE.c.id == message_id, _TABLE.c.attempts < MAX_ATTEMPTS)
    is_unspent = _TABLE.c.used_at.is_(None)
    expires_at = moment + CODE_LIFETIME
    if execute(renew.where(is_unspent).values(expires_at=expires_at)).rowcount:
        return True
    live = _find_live_codes(purpose, email, moment)
    if len(live) >= MAX_LIVE_CODES:
        if not replaces_oldest:
            return False
        surplus = len(live) - (MAX_LIVE_CODES - 1)
        end_codes(_TABLE.c.id.in_(live[:surplus]))
    row = {
        "id": message_id,
        "handle_digest": handle,
        "user_id": user_id,
        "purpose": purpose,
        "email": email,
        "attempts": 0,
        "requested_at": requested_at,
        "expires_at": expires_at,
    }
    return execute(insert_if_absent(EmailCode), row).rowcount == 1


def _find_live_codes(purpose: CodePurpose, email: str, moment: datetime) -> list[UUID]:
    """Return the ids of an address's live codes, oldest request first."""
    mine = (_TABLE.c.email == email) & (_TABLE.c.purpose == purpose) & _IS_LIVE
    rows = read_all(select(_TABLE.c.id).where(mine).order_by(_TABLE.c.id), {"moment": moment})
    return [row.id for row in rows]


def end_codes_of_changed_email(event: DomainEvent) -> None:
    """Handle a changed address: end the codes that went to the old one."""
    if event.subject is not None:
        end_codes(_TABLE.c.user_id == event.subject.id)


def end_codes(condition: ColumnElement[bool]) -> None:
    """End the codes that match, in the open transaction."""
    execute(delete(_TABLE).where(condition))


def purge_dead_codes() -> Iterator[int]:
    """Delete the codes that expired more than `CODE_RETENTION` ago, slice by slice.

    Yields:
        The number of rows that each committed slice deleted.
    """
    is_dead = EmailCode.expires_at < now() - CODE_RETENTION
    return delete_in_slices(EmailCode, EmailCode.id, is_dead)
