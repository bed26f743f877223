"""Login throttle: counts wrong passwords and blocks attempts after too many."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from math import ceil
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, case, delete, or_, select
from sqlalchemy.exc import SQLAlchemyError

from authserve.core.actor import VISITOR, Actor, RequestInfo, UserRef
from authserve.core.clock import now
from authserve.core.errors import UnavailableError
from authserve.core.events import AuditAction, Outcome
from authserve.database.circuit import loggable_error
from authserve.database.emit import emit
from authserve.database.statements import PreparedStatement
from authserve.database.transactions import (
    delete_in_slices,
    dialect_insert,
    execute,
    read_all,
    require_no_transaction,
    transaction,
    writing,
)
from authserve.ratelimit.errors import TooManyAttemptsError
from authserve.ratelimit.models import TABLE, RateCounter
from authserve.ratelimit.policy import BLOCKS, blocked_until, expiry_after
from authserve.ratelimit.throttle_keys import (
    IS_NAMED,
    KNOWN_NETWORK_TTL,
    Counted,
    ThrottleKey,
    device_key,
    identifier_key,
    name_parameters,
    network_mark,
    sign_in_keys,
)

logger = logging.getLogger(__name__)


@contextmanager
def _failing_closed() -> Iterator[None]:
    """Refuse an attempt with 503 if the throttle's counters cannot be read or written.

    Raises:
        UnavailableError: the counters could not be read or written.
    """
    try:
        yield
    except SQLAlchemyError as error:
        logger.error("the login throttle has no storage", exc_info=loggable_error(error))
        raise UnavailableError from error


def require_allowed(keys: Sequence[ThrottleKey]) -> None:
    """Refuse an attempt before its password is hashed, if one of its counters blocks.

    Raises:
        TooManyAttemptsError: with the seconds until the longest block ends.
        UnavailableError: the counters cannot be read.
    """
    with _failing_closed():
        rows = read_all(_COUNTERS, _names(keys))
    _refuse_blocked(keys, rows, now())


def choose_sign_in_keys(
    identifier: str,
    *,
    user_id: UUID | None,
    password_version: int,
    device_id: str | None,
    ip: str | None,
) -> Sequence[ThrottleKey]:
    """Return the keys of a sign-in's counters, after checking that none of them blocks.

    A known device or a known network has a counter of its own. All other sign-ins are counted by
    identifier and address.

    Args:
        identifier: as submitted, in canonical form if it has one.
        user_id, password_version: of the account that has the identifier; None and any number if
            there is none.
        device_id: of a device that the account knows, whose failures are counted by it alone.
        ip: the client address.

    Raises:
        TooManyAttemptsError, UnavailableError: see `require_allowed`.
    """
    if device_id is not None or ip is None:
        keys = [device_key(device_id) if device_id is not None else identifier_key(identifier)]
        require_allowed(keys)
        return keys
    keys, own_key, mark = sign_in_keys(
        identifier, user_id=user_id, password_version=password_version, ip=ip
    )
    # The SELECT is the same for known and unknown accounts.
    with _failing_closed():
        rows = read_all(_COUNTERS, name_parameters([mark, *(key.key for key in (*keys, own_key))]))
    moment = now()
    if any(row.key == mark and row.expires_at > moment for row in rows):
        keys = [own_key]
    chosen = {key.key for key in keys}
    _refuse_blocked(keys, [row for row in rows if row.key in chosen], moment)
    return keys


def find_block_end(keys: Sequence[ThrottleKey]) -> datetime | None:
    """Return when the longest block of these counters ends, or None if none blocks."""
    return _block_end(keys, read_all(_COUNTERS, _names(keys)), now())


def end_blocks(keys: Sequence[ThrottleKey]) -> None:
    """Delete these counters, and with them their blocks, in the open transaction."""
    names = [key.key for key in keys]
    execute(delete(TABLE).where(TABLE.c.key.in_(names)))


def remember_network(user_id: UUID, password_version: int, ip: str | None) -> None:
    """Make a network known to an account for `KNOWN_NETWORK_TTL`, in the open transaction.

    So a user who has just proven access to the mailbox can sign in while strangers are blocked.
    """
    if ip is None:
        return
    mark = network_mark(user_id, password_version, ip)
    row = {"key": mark, "hits": 1, "expires_at": now() + KNOWN_NETWORK_TTL}
    insert = dialect_insert(RateCounter).values(row)
    update = {"expires_at": insert.excluded.expires_at}
    execute(insert.on_conflict_do_update(index_elements=[TABLE.c.key], set_=update))


def record_success(keys: Sequence[ThrottleKey]) -> None:
    """Clear the counters that a right password clears, or refuse it if one blocks by now.

    Concurrent guesses may have begun a block. It applies to the right password too, so a hundred
    parallel guesses learn no more than five in a row.

    Raises:
        TooManyAttemptsError: a block has begun; an open transaction must not go on.
        UnavailableError: the counters cannot be read or written.
    """
    with transaction() as session, _failing_closed():
        rows, moment = read_all(_COUNTERS, _names(keys)), now()
        _refuse_blocked(keys, rows, moment)
        counted = {row.key for row in rows}
        done = [key for key in keys if key.is_cleared_by_success and key.key in counted]
        if not done:
            return
        clear = or_(*((TABLE.c.key == key.key) & ~_is_blocking(key, moment) for key in done))
        cleared: int = session.execute(delete(TABLE).where(clear)).rowcount  # type: ignore[attr-defined]
        if cleared < len(done):
            # One more guess was counted in between; it may have begun a block.
            _refuse_blocked(keys, read_all(_COUNTERS, _names(keys)), moment)


def count_attempt(key: ThrottleKey) -> int:
    """Count an attempt, and commit, before its proof is compared; refuse it while the key blocks.

    So even concurrent guesses are compared no more often than the rule allows. The caller clears
    the counter of a right proof with `end_blocks`.

    Returns:
        The number of attempts that the counter holds, this one included. At the rule's limit and
        above, a block has begun with it.

    Raises:
        TooManyAttemptsError: the counter blocks; it does not change.
        UnavailableError: it cannot be written.
        TransactionNestingError: a transaction is open.
    """
    require_no_transaction()
    with _failing_closed():
        hits = _count(key, now())
    if hits is None:
        # The block may have ended since; then the caller may retry at once.
        require_allowed([key])
        raise TooManyAttemptsError(retry_after_secs=0)
    return hits


def record_failure(
    keys: Sequence[ThrottleKey],
    *,
    also: Sequence[ThrottleKey] = (),
    actor: Actor = VISITOR,
    subject: UserRef | None,
    request: RequestInfo,
) -> None:
    """Count a wrong password, committed even if the request fails; audit blocks that begin.

    Args:
        keys: the counters that `require_allowed` or `choose_sign_in_keys` checked, narrowest
            first. If one blocks by now, those after it count nothing.
        also: counters that count this failure too, but never refuse it.
        actor: the caller who gave the password.
        subject: the account that the password was for.
        request: for the audit event.

    Raises:
        TooManyAttemptsError: a counter of `keys` blocks already, so the answer must not reveal
            that the password was wrong. That counter does not change.
        UnavailableError: the counters cannot be written.
    """
    require_no_transaction()
    moment = now()
    refused: ThrottleKey | None = None
    begun: list[ThrottleKey] = []
    with _failing_closed():
        for key in keys:
            hits = _count(key, moment)
            if hits is None:
                refused = key
                break
            begun += [key] if hits >= key.rule.limit else []
        if refused is None:
            begun += [key for key in also if (_count(key, moment) or 0) >= key.rule.limit]
    if begun:
        _report_blocks(begun, actor, subject, request)
    if refused is not None:
        # The block may have ended since; then the caller may retry at once.
        require_allowed([refused])
        raise TooManyAttemptsError(retry_after_secs=0)


def _report_blocks(
    keys: Sequence[ThrottleKey], actor: Actor, subject: UserRef | None, request: RequestInfo
) -> None:
    with transaction(durable=True):
        for key in keys:
            # An address can try many accounts, so its block is not about the last one.
            of = None if key.counted is Counted.ADDRESS else subject
            details = {"counted_by": key.counted}
            emit(
                AuditAction.SESSION_SIGN_IN_THROTTLED,
                outcome=Outcome.FAILURE,
                actor=actor,
                subject=of,
                request=request,
                details=details,
            )


_COUNTERS = PreparedStatement(select(TABLE).where(IS_NAMED), name="failure_counters")


def _names(keys: Sequence[ThrottleKey]) -> dict[str, str]:
    return name_parameters([key.key for key in keys])


def _refuse_blocked(
    keys: Sequence[ThrottleKey], rows: Iterable[Row[Any]], moment: datetime
) -> None:
    end = _block_end(keys, rows, moment)
    if end is not None:
        raise TooManyAttemptsError(retry_after_secs=ceil((end - moment).total_seconds()))


def _block_end(
    keys: Sequence[ThrottleKey], rows: Iterable[Row[Any]], moment: datetime
) -> datetime | None:
    by_name = {key.key: key for key in keys}
    ends = (blocked_until(row.hits, row.expires_at, by_name[row.key].rule, moment) for row in rows)
    return max((end for end in ends if end is not None), default=None)


def _is_blocking(key: ThrottleKey, moment: datetime) -> ColumnElement[bool]:
    """Return the SQL condition that a counter blocks; see `policy.blocked_until`."""
    return (TABLE.c.hits >= key.rule.limit) & (TABLE.c.expires_at > moment + key.rule.window)


def _count(key: ThrottleKey, moment: datetime) -> int | None:
    """Add a failure in one statement and return the sum; None, unchanged, if the counter blocks."""
    rule = key.rule
    insert = dialect_insert(RateCounter).values(
        key=key.key, hits=1, expires_at=moment + rule.window
    )
    is_over = TABLE.c.expires_at <= moment
    failures = TABLE.c.hits + 1
    last = rule.limit + len(BLOCKS) - 1
    upsert = insert.on_conflict_do_update(
        index_elements=[TABLE.c.key],
        set_={
            "hits": case((is_over, 1), else_=failures),
            "expires_at": case(
                (is_over, insert.excluded.expires_at),
                (failures < rule.limit, TABLE.c.expires_at),
                *((failures == n, expiry_after(n, rule, moment)) for n in range(rule.limit, last)),
                else_=expiry_after(last, rule, moment),
            ),
        },
        where=~_is_blocking(key, moment),
    ).returning(TABLE.c.hits)
    with writing() as connection:
        return connection.execute(upsert).scalar_one_or_none()


def purge_dead_counters() -> Iterator[int]:
    """Delete the counters that expired over an hour ago, slice by slice.

    Yields:
        The number of rows that each committed slice deleted.
    """
    is_dead = RateCounter.expires_at < now() - timedelta(hours=1)
    return delete_in_slices(RateCounter, RateCounter.key, is_dead)
