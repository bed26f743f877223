"""The login throttle's counters, below every route."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import event

from authserve.core.actor import RequestInfo
from authserve.core.clock import now
from authserve.core.ids import new_id
from authserve.database.transactions import TransactionNestingError, db, transaction
from authserve.ratelimit import throttle
from authserve.ratelimit.errors import TooManyAttemptsError
from authserve.ratelimit.throttle import (
    end_blocks,
    purge_dead_counters,
    record_failure,
    record_success,
    require_allowed,
)
from authserve.ratelimit.throttle_keys import (
    ThrottleKey,
    account_key,
    address_key,
    device_key,
    identifier_key,
)
from tests.support.crowd import all_at_once, persistently
from tests.support.marks import both_databases, on_postgresql, on_sqlite
from tests.support.rows import audit_trail, counters

Clock = time_machine.Traveller

INSTANT = timedelta(microseconds=1)
REQUEST = RequestInfo(ip="192.0.2.1")

pytestmark = [both_databases, pytest.mark.usefixtures("context")]


def fail(*keys: ThrottleKey, also: tuple[ThrottleKey, ...] = ()) -> bool:
    """Record a failure; return False if it meets a block."""
    try:
        record_failure(keys, also=also, subject=None, request=REQUEST)
    except TooManyAttemptsError:
        return False
    return True


def is_allowed(*keys: ThrottleKey) -> bool:
    try:
        require_allowed(keys)
    except TooManyAttemptsError:
        return False
    return True


def hits(app: Flask) -> dict[str, int]:
    return {row["key"]: row["hits"] for row in counters(app)}


def test_each_failure_after_a_block_begins_one_twice_as_long(clock: Clock) -> None:
    key = identifier_key("alice")
    assert [fail(key) for _ in range(5)] == [True] * 5
    for secs in (30, 60, 120, 240, 480, 900, 900, 900):
        with pytest.raises(TooManyAttemptsError) as refused:
            require_allowed([key])
        assert refused.value.retry_after_secs == secs
        clock.shift(timedelta(seconds=secs) - INSTANT)
        assert not is_allowed(key)
        clock.shift(INSTANT)
        assert is_allowed(key)
        assert fail(key)


@on_sqlite
def test_a_window_without_a_failure_forgets_them_all(clock: Clock) -> None:
    key = identifier_key("alice")
    for _ in range(5):
        fail(key)
    clock.shift(timedelta(seconds=30) + timedelta(minutes=5))
    assert [fail(key) for _ in range(4)] == [True] * 4
    assert is_allowed(key)
    assert fail(key)
    assert not is_allowed(key)


@on_sqlite
def test_failures_further_apart_than_the_window_never_block(clock: Clock) -> None:
    key = identifier_key("alice")
    for _ in range(4):
        for _ in range(4):
            assert fail(key)
        clock.shift(timedelta(minutes=5))
        assert is_allowed(key)


def test_a_refused_attempt_changes_no_counter(clock: Clock, app: Flask) -> None:
    """Neither the blocking counter, whose block would never end, nor those of the same attempt."""
    key, address = identifier_key("alice"), address_key("192.0.2.1")
    for _ in range(5):
        fail(key, *address)
    before = counters(app)
    clock.shift(10)
    assert not fail(key, *address, also=(identifier_key("bob"),))
    assert counters(app) == before


def test_a_refused_attempt_names_the_end_of_the_block(clock: Clock) -> None:
    key = identifier_key("alice")
    for _ in range(5):
        fail(key)
    clock.shift(10)
    with pytest.raises(TooManyAttemptsError) as refused:
        record_failure([key], subject=None, request=REQUEST)
    with pytest.raises(TooManyAttemptsError) as asked:
        require_allowed([key])
    assert refused.value.retry_after_secs == asked.value.retry_after_secs > 0


def test_it_ends_the_blocks_of_the_named_counters_alone(clock: Clock) -> None:
    named, other = identifier_key("alice"), identifier_key("bob")
    for _ in range(5):
        fail(named)
        fail(other)
    with transaction():
        end_blocks([named])
    assert (is_allowed(named), is_allowed(other)) == (True, False)


@on_sqlite
def test_an_address_has_more_and_a_shorter_window(clock: Clock) -> None:
    (key,) = address_key("192.0.2.1")
    assert [fail(key) for _ in range(11)] == [True] * 10 + [False]
    clock.shift(90)
    assert [fail(key) for _ in range(9)] == [True] * 9
    clock.shift(60)
    assert [fail(key) for _ in range(11)] == [True] * 10 + [False]


SAME_NETWORK = (
    ("192.0.2.1", "192.0.2.1", True),
    ("192.0.2.1", "192.0.2.2", False),
    ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
    ("2001:db8::1", "2001:db8:0:1::1", False),
    ("2001:db8::1", "2001:db8:0:0:0:0:0:1", True),
)


@on_sqlite
def test_an_ipv6_address_counts_as_its_network() -> None:
    for one, other, is_shared in SAME_NETWORK:
        assert (address_key(one) == address_key(other)) is is_shared, (one, other)


@on_sqlite
def test_a_caller_without_an_address_is_counted_by_none() -> None:
    assert address_key(None) == []


def test_a_success_clears_what_only_its_owner_counts_by(app: Flask) -> None:
    own, others = device_key("0123"), device_key("4567")
    account = account_key(new_id())
    shared = [identifier_key("alice"), *address_key("192.0.2.1")]
    for _ in range(4):
        fail(own, account, *shared)
        fail(others)
    record_success([own, account, *shared])
    assert hits(app) == {key.key: 4 for key in (others, *shared)}
    record_success([own, account, *shared])


@on_sqlite
def test_no_two_kinds_of_counters_meet() -> None:
    user_id = new_id()
    text = str(user_id)
    kinds = (identifier_key(text), account_key(user_id), device_key(text))
    assert len({key.key for key in kinds}) == 3


def test_a_success_beside_a_block_is_refused_and_clears_nothing(clock: Clock, app: Flask) -> None:
    """Both were allowed when they came; the guesses are counted first."""
    key = identifier_key("alice")
    require_allowed([key])
    for _ in range(5):
        fail(key)
    before = counters(app)
    with pytest.raises(TooManyAttemptsError) as refused:
        record_success([key])
    assert refused.value.retry_after_secs == 30
    assert counters(app) == before


def test_a_success_beside_a_block_of_its_address_is_refused_too(clock: Clock, app: Flask) -> None:
    own, (address,) = identifier_key("alice"), address_key("192.0.2.1")
    fail(own)
    for number in range(10):
        fail(identifier_key(f"unknown{number}"), address)
    before = counters(app)
    with pytest.raises(TooManyAttemptsError):
        record_success([own, address])
    with pytest.raises(TooManyAttemptsError):
        record_success([address])
    assert counters(app) == before


def test_a_success_whose_transaction_fails_clears_nothing(app: Flask) -> None:
    key = device_key("0123")
    fail(key)
    with suppress(ZeroDivisionError), transaction():
        record_success([key])
        raise ZeroDivisionError
    assert hits(app) == {key.key: 1}


@on_sqlite
def test_a_failure_is_never_a_part_of_something_that_could_roll_back() -> None:
    with transaction(), pytest.raises(TransactionNestingError):
        fail(identifier_key("alice"))


def test_counters_that_are_only_incremented_block_nothing(clock: Clock, app: Flask) -> None:
    """A wrong password behind a token counts at the sign-in, though a block there is no answer."""
    account, identifier = account_key(new_id()), identifier_key("alice")
    for _ in range(5):
        fail(identifier)
    assert [fail(account, also=(identifier,)) for _ in range(6)] == [True] * 5 + [False]
    assert hits(app) == {account.key: 5, identifier.key: 5}


def test_each_block_is_one_event_that_names_its_counter(clock: Clock, app: Flask) -> None:
    names = [identifier_key(name) for name in ("alice", "bob")]
    address = address_key("192.0.2.1")
    for name in names:
        for _ in range(7):
            fail(name, *address)
    clock.shift(30)
    fail(names[0])
    events = audit_trail(app, "session.sign_in_throttled")
    assert [event["details"]["counted_by"] for event in events] == [
        "identifier",
        "identifier",
        "address",
        "identifier",
    ]
    assert {event["outcome"] for event in events} == {"failure"}


def test_a_crowd_of_failures_is_counted_exactly(clock: Clock, app: Flask) -> None:
    key, address = identifier_key("alice"), address_key("192.0.2.1")

    def guess() -> bool:
        with app.app_context():
            return persistently(lambda: fail(key, *address))

    assert all_at_once([guess] * 50).count(True) == 5
    assert hits(app) == {key.key: 5, address[0].key: 5}
    assert len(audit_trail(app, "session.sign_in_throttled")) == 1


def test_a_success_and_failures_at_once_end_in_one_order_or_another(
    clock: Clock, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The success clears what was counted before it, and is refused after a fifth failure."""
    count, sums = throttle._count, list[int | None]()

    def count_and_note(key: ThrottleKey, moment: datetime) -> int | None:
        sums.append(count(key, moment))
        return sums[-1]

    monkeypatch.setattr(throttle, "_count", count_and_note)
    for attempt in range(5):
        key = device_key(f"{attempt}")
        for _ in range(3):
            fail(key)
        sums.clear()

        def guess(key: ThrottleKey = key) -> bool:
            with app.app_context():
                return persistently(lambda: fail(key))

        def succeed(key: ThrottleKey = key) -> bool:
            with app.app_context():
                try:
                    persistently(lambda: record_success([key]))
                except TooManyAttemptsError:
                    return False
                return True

        *told, is_in = all_at_once([guess, guess, succeed])
        assert told == [True, True]
        # The count of each failure shows the order.
        assert (sorted(sums), is_in, hits(app).get(key.key, 0)) in (
            ([1, 2], True, 2),
            ([1, 4], True, 1),
            ([4, 5], False, 5),
        )


@contextmanager
def before_the_deletion(happen: Callable[[], object]) -> Iterator[None]:
    """Call a function on another connection once a success has read its counters."""

    def intervene(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("DELETE FROM rate_counters"):
            all_at_once([happen])

    event.listen(db.engine, "before_cursor_execute", intervene)
    try:
        yield
    finally:
        event.remove(db.engine, "before_cursor_execute", intervene)


@on_postgresql
def test_a_success_beside_a_fifth_failure_is_refused(clock: Clock, app: Flask) -> None:
    """On SQLite the success has locked the database by then."""
    key = device_key("0123")

    def guess() -> bool:
        with app.app_context():
            return fail(key)

    for _ in range(4):
        fail(key)
    with before_the_deletion(guess), pytest.raises(TooManyAttemptsError) as refused:
        record_success([key])
    assert refused.value.retry_after_secs == 30
    assert hits(app) == {key.key: 5}


@on_postgresql
def test_a_success_beside_a_fourth_failure_clears_it_too(clock: Clock, app: Flask) -> None:
    key = device_key("0123")

    def guess() -> bool:
        with app.app_context():
            return fail(key)

    for _ in range(3):
        fail(key)
    with before_the_deletion(guess):
        record_success([key])
    assert hits(app) == {}


@on_sqlite
def test_the_table_holds_no_identifiers(app: Flask) -> None:
    user_id = new_id()
    for key in (
        identifier_key("alice@example.com"),
        account_key(user_id),
        device_key("0123"),
        *address_key("192.0.2.1"),
    ):
        fail(key)
    keys = list(hits(app))
    assert len(keys) == 4
    assert all(re.fullmatch(r"failures:[0-9a-f]{64}", key) for key in keys)


def test_counters_are_purged_an_hour_after_their_end(clock: Clock, app: Flask) -> None:
    fail(identifier_key("alice"))
    clock.shift(timedelta(minutes=5, hours=1))
    fail(identifier_key("bob"))
    assert list(purge_dead_counters()) == []
    clock.shift(INSTANT)
    assert list(purge_dead_counters()) == [1]
    (kept,) = counters(app)
    assert kept["expires_at"] == now() - INSTANT + timedelta(minutes=5)
