"""The login throttle: wrong passwords, counted by what was submitted and by address.

What is counted is a keyed digest: the table tells nobody who tried to sign in, nor whether two
identifiers belong together. Known and unknown ones are counted alike.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from math import ceil
from typing import Any
from uuid import UUID

from sqlalchemy import Row, case, delete, select

from authserve.core.clock import now
from authserve.core.crypto import get_keyring
from authserve.core.db import (
    delete_in_slices,
    dialect_insert,
    read_all,
    reading,
    require_no_transaction,
    transaction,
)
from authserve.ratelimit.errors import TooManyAttemptsError
from authserve.ratelimit.models import RateCounter
from authserve.ratelimit.policy import (
    BLOCKS,
    BY_ADDRESS,
    BY_IDENTIFIER,
    ThrottleRule,
    blocked_until,
)
from authserve.ratelimit.storage import TABLE

PURPOSE = "throttle"

IPV6_PREFIX = 64
"""What one customer of a provider is given at least (RFC 6177 §2)."""


@dataclass(frozen=True, slots=True)
class ThrottleKey:
    """One thing that failures are counted by."""

    key: str
    rule: ThrottleRule
    is_cleared_by_success: bool


def identifier_key(identifier: str) -> ThrottleKey:
    """Count by what was submitted as an address or username, in canonical form if it has one."""
    return ThrottleKey(_digest("identifier", identifier), BY_IDENTIFIER, True)


def account_key(user_id: UUID) -> ThrottleKey:
    """Count by the account of somebody whose token has proven who they are."""
    return ThrottleKey(_digest("account", str(user_id)), BY_IDENTIFIER, True)


def address_key(ip: str | None) -> list[ThrottleKey]:
    """Count by client address, an IPv6 one by its network; nothing where there is none.

    A success does not clear it: somebody with one good account could guess at all others.
    """
    if ip is None:
        return []
    address = ip_address(ip)
    network = ip if address.version == 4 else str(ip_network((address, IPV6_PREFIX), strict=False))
    return [ThrottleKey(_digest("address", network), BY_ADDRESS, False)]


def _digest(kind: str, value: str) -> str:
    return f"failures:{get_keyring().mac(PURPOSE, f'{kind}:{value}'.encode()).hex()}"


def require_allowed(keys: Sequence[ThrottleKey]) -> None:
    """Refuse an attempt before anything is hashed, if one of its counters blocks.

    Raises:
        TooManyAttemptsError: with the seconds until the longest block ends.
    """
    _refuse_blocked(keys, read_all(_counters(keys)))


def record_success(keys: Sequence[ThrottleKey]) -> None:
    """Clear the counters that a right password clears, unless they block by now.

    Guesses that ran beside this one may have begun a block; then the right password is refused
    like any other, so that a hundred parallel guesses learn no more than five in a row.

    Raises:
        TooManyAttemptsError: a block has begun; an open transaction must not go on.
    """
    with transaction() as session:
        rows = session.execute(_counters(keys)).all()
        _refuse_blocked(keys, rows)
        counted = {row.key for row in rows}
        done = [key.key for key in keys if key.is_cleared_by_success and key.key in counted]
        if done:
            session.execute(delete(TABLE).where(TABLE.c.key.in_(done)))


def record_failure(keys: Iterable[ThrottleKey]) -> bool:
    """Count a wrong password, for good, whatever becomes of the request.

    Returns:
        Whether this failure has begun a block.

    Raises:
        TooManyAttemptsError: a block was on already, so the answer must not tell that the
            password was wrong. Nothing was counted by the counter that blocks.
    """
    require_no_transaction()
    moment = now()
    begun = False
    refusals: list[datetime] = []
    for key in keys:
        row = _count(key, moment)
        if row is None:
            refusals.append(_block_end(key) or moment)
        elif row.hits >= key.rule.limit:
            begun = True
    if refusals:
        raise _refusal(max(refusals), moment)
    return begun


def _counters(keys: Sequence[ThrottleKey]) -> Any:
    return select(TABLE).where(TABLE.c.key.in_([key.key for key in keys]))


def _refuse_blocked(keys: Sequence[ThrottleKey], rows: Iterable[Row[Any]]) -> None:
    moment = now()
    rules = {key.key: key.rule for key in keys}
    ends = [blocked_until(row.hits, row.expires_at, rules[row.key], moment) for row in rows]
    blocks = [end for end in ends if end is not None]
    if blocks:
        raise _refusal(max(blocks), moment)


def _refusal(end: datetime, moment: datetime) -> TooManyAttemptsError:
    return TooManyAttemptsError(retry_after_secs=ceil((end - moment).total_seconds()))


def _block_end(key: ThrottleKey) -> datetime | None:
    rows = read_all(_counters([key]))
    ends = (blocked_until(row.hits, row.expires_at, key.rule, now()) for row in rows)
    return next(ends, None)


def _count(key: ThrottleKey, moment: datetime) -> Row[Any] | None:
    """Add a failure in one statement; None if the counter blocks, which leaves it as it is."""
    rule = key.rule
    insert = dialect_insert(RateCounter).values(
        key=key.key, hits=1, expires_at=moment + rule.window
    )
    is_over = TABLE.c.expires_at <= moment
    is_blocking = (TABLE.c.hits >= rule.limit) & (TABLE.c.expires_at > moment + rule.window)
    failures = TABLE.c.hits + 1
    # One window beyond the block; see `policy.blocked_until`.
    ends = {rule.limit + step: moment + block + rule.window for step, block in enumerate(BLOCKS)}
    longest = moment + BLOCKS[-1] + rule.window
    upsert = insert.on_conflict_do_update(
        index_elements=[TABLE.c.key],
        set_={
            "hits": case((is_over, 1), else_=failures),
            "expires_at": case(
                (is_over, insert.excluded.expires_at),
                (failures < rule.limit, TABLE.c.expires_at),
                *((failures == count, end) for count, end in ends.items()),
                else_=longest,
            ),
        },
        where=~is_blocking,
    ).returning(TABLE.c.hits, TABLE.c.expires_at)
    with reading() as connection:
        return connection.execute(upsert).one_or_none()


def purge_dead_counters() -> Iterator[int]:
    """Delete the counters whose windows are over, slice by slice.

    Yields:
        How many rows each committed slice deleted.
    """
    is_dead = RateCounter.expires_at < now() - timedelta(hours=1)
    return delete_in_slices(RateCounter, RateCounter.key, is_dead)
