"""Transactions, AUTOCOMMIT reads and column types, on both databases."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import Select, func, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, StatementError
from sqlalchemy.orm import Session

from authserve.core.clock import now
from authserve.database import transactions as db_module
from authserve.database import watchdog
from authserve.database.constraints import violated_constraint
from authserve.database.engine import TransactionLostError
from authserve.database.transactions import (
    TransactionNestingError,
    after_commit,
    db,
    delete_in_slices,
    insert_if_absent,
    read_all,
    reading,
    require_no_transaction,
    require_transaction,
    transaction,
    write_repeatably,
)
from authserve.ratelimit.models import RateCounter
from authserve.rbac.models import UserRole
from authserve.users.models import User
from tests.conftest import PostgreSQL
from tests.support.crowd import all_at_once
from tests.support.databases import executed
from tests.support.marks import both_databases, on_postgresql

pytestmark = [both_databases, pytest.mark.usefixtures("context")]

WRITERS = 20

MOMENT = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)


def add(session: Session, key: str, *, hits: int = 0, expires_at: datetime = MOMENT) -> None:
    row = {"key": key, "hits": hits, "expires_at": expires_at}
    session.execute(insert(RateCounter), row)


def committed() -> dict[str, int]:
    """Return the counts that any other connection reads."""
    with reading() as connection:
        rows = connection.execute(select(RateCounter.key, RateCounter.hits))
        return {row.key: row.hits for row in rows}


class BoomError(Exception):
    """Something went wrong."""


# Transactions


def test_it_commits_at_the_end_of_the_block() -> None:
    with transaction() as session:
        add(session, "a")
        assert committed() == {}
    assert committed() == {"a": 0}


def test_a_nested_block_joins_and_the_outermost_exit_commits() -> None:
    with transaction() as outer:
        add(outer, "a")
        with transaction() as inner:
            assert inner is outer
            add(inner, "b")
        assert committed() == {}
    assert committed() == {"a": 0, "b": 0}


def test_it_rolls_back_on_an_exception() -> None:
    def write_and_fail(error_type: type[BaseException]) -> None:
        with transaction() as session:
            add(session, "a")
            raise error_type

    for error_type in (BoomError, KeyboardInterrupt, SystemExit):
        with pytest.raises(error_type):
            write_and_fail(error_type)
        assert committed() == {}


def write_half_in_a_nested_block() -> None:
    with transaction() as session:
        add(session, "half")
        raise BoomError


def test_an_error_of_a_nested_block_rolls_all_back_and_stays_itself() -> None:
    def write() -> None:
        with transaction() as session:
            add(session, "before")
            write_half_in_a_nested_block()

    with pytest.raises(BoomError):
        write()
    assert committed() == {}


@pytest.mark.parametrize("durable", [False, True])
def test_it_never_commits_half_of_a_nested_block_whose_error_was_swallowed(durable: bool) -> None:
    def write() -> None:
        with transaction(durable=durable) as session:
            add(session, "before")
            with suppress(BoomError):
                write_half_in_a_nested_block()
            add(session, "after")

    with pytest.raises(TransactionLostError):
        write()
    assert committed() == {}


@on_postgresql
def test_it_does_not_take_the_silent_rollback_of_a_failed_transaction_for_a_commit() -> None:
    def write() -> None:
        with transaction() as session:
            add(session, "a")
            with suppress(IntegrityError):
                add(session, "a")

    with pytest.raises(TransactionLostError):
        write()
    assert committed() == {}


def test_a_durable_block_is_committed_before_the_error_raised_after_it() -> None:
    def refuse() -> None:
        with transaction(durable=True) as session:
            add(session, "failures", hits=1)
        raise BoomError

    with pytest.raises(BoomError):
        refuse()
    assert committed() == {"failures": 1}


def test_a_durable_block_rolls_back_on_an_error_inside_it() -> None:
    def write_and_fail() -> None:
        with transaction(durable=True) as session:
            add(session, "a")
            raise BoomError

    with pytest.raises(BoomError):
        write_and_fail()
    assert committed() == {}


def test_others_may_join_a_durable_block() -> None:
    with transaction(durable=True), transaction() as inner:
        add(inner, "a")
    assert committed() == {"a": 0}


def test_a_durable_block_refuses_to_be_nested_and_leaves_the_outer_one_alone() -> None:
    with transaction() as session:
        add(session, "a")
        with pytest.raises(TransactionNestingError), transaction(durable=True):
            raise AssertionError("never entered")
    assert committed() == {"a": 0}


def fail_in_the_block() -> None:
    with transaction():
        raise BoomError


def fail_in_a_nested_block() -> None:
    with transaction(), transaction():
        raise BoomError


def swallow_the_error_of_a_nested_block() -> None:
    with transaction(), suppress(BoomError), transaction():
        raise BoomError


def fail_at_the_commit() -> None:
    with transaction() as session:
        add(session, "a")
        session.add(RateCounter(key="a", hits=0, expires_at=MOMENT))


def nest_a_durable_block() -> None:
    with transaction(), transaction(durable=True):
        pass


def test_after_an_error_the_next_transaction_is_an_outermost_one() -> None:
    for fail in (
        fail_in_the_block,
        fail_in_a_nested_block,
        swallow_the_error_of_a_nested_block,
        fail_at_the_commit,
        nest_a_durable_block,
    ):
        with pytest.raises((BoomError, IntegrityError, RuntimeError)):
            fail()
        require_no_transaction()
        assert "a" not in committed()
        with transaction(durable=True) as session:
            add(session, fail.__name__)
        assert fail.__name__ in committed()


def test_an_action_after_the_commit_finds_it_done() -> None:
    found: list[dict[str, int]] = []
    with transaction():
        with transaction() as session:
            add(session, "a")
            after_commit(lambda: found.append(committed()))
        assert found == []
    assert [list(rows) for rows in found] == [["a"]]
    with transaction() as session:
        add(session, "b")
    assert len(found) == 1


def test_what_is_rolled_back_has_no_action_after_it() -> None:
    done: list[str] = []

    def write_and_fail() -> None:
        with transaction():
            after_commit(lambda: done.append("a"))
            raise BoomError

    with pytest.raises(BoomError):
        write_and_fail()
    with transaction():
        after_commit(lambda: done.append("b"))
    assert done == ["b"]


def test_outside_of_a_transaction_nothing_follows_a_commit() -> None:
    with pytest.raises(RuntimeError, match="no transaction"):
        after_commit(lambda: None)


def test_it_gives_its_connection_back() -> None:
    for fail in (False, True):
        with suppress(BoomError), transaction() as session:
            add(session, f"fails: {fail}")
            if fail:
                raise BoomError
        assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_what_was_read_can_be_used_after_the_commit() -> None:
    with transaction() as session:
        session.add(RateCounter(key="a", hits=3, expires_at=MOMENT))
    with transaction() as session:
        found = session.get(RateCounter, "a")
    assert found is not None
    assert found.hits == 3


def test_the_session_of_a_transaction_is_there_only_inside() -> None:
    with pytest.raises(RuntimeError):
        require_transaction()
    with transaction() as session:
        assert require_transaction() is session
    with pytest.raises(RuntimeError):
        require_transaction()


def test_what_commits_by_itself_can_refuse_to_run_inside() -> None:
    require_no_transaction()
    with transaction():
        with pytest.raises(TransactionNestingError):
            require_no_transaction()
        with transaction(), pytest.raises(TransactionNestingError):
            require_no_transaction()
    require_no_transaction()


# Races


def in_a_context_of_its_own(app: Flask, work: Callable[[], bool]) -> Callable[[], bool]:
    """`work` for a thread; one that could not have the lock in time did not win either."""

    def run() -> bool:
        with app.app_context():
            try:
                return work()
            except OperationalError:
                return False

    return run


def test_of_twenty_writers_one_wins_a_conditional_update(make_app: Callable[..., Flask]) -> None:
    app = make_app(database_pool_size=WRITERS)
    with transaction() as session:
        add(session, "token", hits=0)

    def spend() -> bool:
        with transaction() as session:
            unspent = update(RateCounter).where(RateCounter.key == "token", RateCounter.hits == 0)
            result = session.execute(unspent.values(hits=1))
        return result.rowcount == 1  # type: ignore[attr-defined]

    wins = all_at_once([in_a_context_of_its_own(app, spend)] * WRITERS)

    assert wins.count(True) == 1
    assert committed() == {"token": 1}


def test_of_twenty_writers_one_inserts(make_app: Callable[..., Flask]) -> None:
    app = make_app(database_pool_size=WRITERS)

    def insert_first() -> bool:
        row = {"key": "first", "hits": 0, "expires_at": MOMENT}
        with transaction() as session:
            result = session.execute(insert_if_absent(RateCounter), row)
        return result.rowcount == 1  # type: ignore[attr-defined]

    wins = all_at_once([in_a_context_of_its_own(app, insert_first)] * WRITERS)

    assert wins.count(True) == 1


# Writing


def test_insert_if_absent_leaves_an_existing_row_as_it_is() -> None:
    counts = []
    for hits in (1, 2):
        row = {"key": "a", "hits": hits, "expires_at": MOMENT}
        with transaction() as session:
            counts.append(session.execute(insert_if_absent(RateCounter), row).rowcount)  # type: ignore[attr-defined]
    assert counts == [1, 0]
    assert committed() == {"a": 1}


def new_user(**changes: Any) -> dict[str, Any]:
    moment = now()
    values = {"email": f"{uuid4().hex}@example.com", "created_at": moment, "updated_at": moment}
    return {**values, **changes}


def hold_role(user: dict[str, Any]) -> dict[str, Any]:
    return {"user_id": user["id"], "role_name": "user"}


ALICE = {"id": uuid4(), "audit_id": uuid4(), "email": "alice@example.com", "username": "alice"}


VIOLATIONS: tuple[tuple[type[Any], dict[str, Any], str | None], ...] = (
    (User, {"email": "alice@example.com"}, "uq_users_email"),
    (User, {"username": "alice"}, "uq_users_username"),
    (User, {"audit_id": ALICE["audit_id"]}, "uq_users_audit_id"),
    (User, {"id": ALICE["id"]}, "pk_users"),
    (User, {"created_at": None}, None),
    (UserRole, hold_role(ALICE), "pk_user_roles"),
)


def test_a_violated_constraint_has_the_same_name_everywhere() -> None:
    with transaction() as session:
        session.execute(insert(User), new_user(**ALICE))
        session.execute(insert(UserRole), hold_role(ALICE))
    for model, values, constraint in VIOLATIONS:
        row = new_user(**values) if model is User else values
        with pytest.raises(IntegrityError) as caught, transaction() as session:
            session.execute(insert(model), row)
        assert violated_constraint(caught.value) == constraint


def test_an_error_of_the_database_reveals_no_parameters() -> None:
    with pytest.raises(IntegrityError) as caught, transaction() as session:
        session.execute(insert(User), {"email": "alice@example.com", "password_hash": "$argon2id$"})
    assert "INSERT INTO users" in str(caught.value)
    assert "$argon2id$" not in str(caught.value).partition("DETAIL")[0]


def test_it_deletes_dead_rows_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db_module, "PURGE_SLICE", 2)
    with transaction() as session:
        for number in range(5):
            add(session, f"dead {number}")
        add(session, "live", expires_at=MOMENT + timedelta(microseconds=1))

    slices = delete_in_slices(RateCounter, RateCounter.key, RateCounter.expires_at <= MOMENT)

    assert next(slices) == 2
    assert len(committed()) == 4, "each slice is committed when it is reported"
    assert list(slices) == [2, 1]
    assert committed() == {"live": 0}


# Reading


KEYS_READ = select(RateCounter.key)


def test_a_read_sees_what_is_committed() -> None:
    with transaction() as session:
        add(session, "a")
    assert [row.key for row in read_all(KEYS_READ)] == ["a"]


def test_a_read_makes_no_session() -> None:
    assert read_all(KEYS_READ) == []
    require_no_transaction()
    assert not db.session.registry.has()


def test_a_read_inside_a_transaction_sees_what_it_has_written() -> None:
    with transaction() as session:
        add(session, "a")
        assert [row.key for row in read_all(KEYS_READ)] == ["a"]
    assert committed() == {"a": 0}


def test_a_read_inside_a_transaction_needs_no_second_connection(
    make_app: Callable[..., Flask],
) -> None:
    with make_app(database_pool_size=1).app_context(), transaction() as session:
        add(session, "a")
        assert len(read_all(KEYS_READ)) == 1


def test_a_statement_on_a_reading_connection_commits_by_itself() -> None:
    with transaction() as session:
        add(session, "a")
    with reading() as connection:
        connection.execute(update(RateCounter).values(hits=5))
        assert committed() == {"a": 5}
    assert committed() == {"a": 5}


def test_a_transaction_after_a_read_on_the_same_connection_can_roll_back(
    make_app: Callable[..., Flask],
) -> None:
    with make_app(database_pool_size=1).app_context():
        for _ in range(2):
            assert committed() == {}
            with suppress(BoomError), transaction() as session:
                add(session, "a")
                raise BoomError
        assert committed() == {}


def failing() -> Select[Any]:
    return select(func.no_such_function())


def test_a_statement_that_fails_is_not_sent_again() -> None:
    with executed(db.engine) as sent, pytest.raises(DBAPIError):
        read_all(failing())
    assert len(sent) == 1


@pytest.fixture
def killed(postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Ends the backend of the pooled connection; returns its process id.

    It is as if that happened a moment before the connection's next use, too late to be seen.
    """
    monkeypatch.setattr(watchdog, "_REST_SECS", float("inf"))

    def kill() -> int:
        pid: int = read_all(select(func.pg_backend_pid()))[0][0]
        # With a timeout, PostgreSQL answers when the backend is gone.
        postgresql.execute(f"SELECT pg_terminate_backend({pid}, 60000)")
        return pid

    return kill


@on_postgresql
def test_a_read_on_a_dead_connection_is_sent_again_once(killed: Callable[[], int]) -> None:
    pid = killed()
    with executed(db.engine) as sent:
        assert read_all(select(func.pg_backend_pid()))[0][0] != pid
    assert len(sent) == 2


@on_postgresql
def test_a_write_on_a_dead_connection_fails_and_the_next_one_works(
    killed: Callable[[], int],
) -> None:
    killed()
    with pytest.raises(OperationalError), transaction() as session:
        add(session, "lost")
    with transaction() as session:
        add(session, "kept")
    assert committed() == {"kept": 0}


@on_postgresql
def test_a_write_that_may_repeat_is_sent_again_once(killed: Callable[[], int]) -> None:
    with transaction() as session:
        add(session, "once")
    counters = RateCounter.__table__
    bump = update(counters).values(hits=counters.c.hits + 1).returning(counters.c.hits)
    killed()
    with executed(db.engine) as sent:
        assert [row.hits for row in write_repeatably(bump, {})] == [1]
    assert len(sent) == 2
    assert committed() == {"once": 1}


def test_a_write_that_commits_by_itself_refuses_to_be_part_of_more() -> None:
    bump = update(RateCounter.__table__).values(hits=1).returning(RateCounter.__table__.c.hits)
    with transaction(), pytest.raises(TransactionNestingError):
        write_repeatably(bump, {})


@on_postgresql
def test_a_dead_connection_takes_no_other_read_with_it(
    killed: Callable[[], int], make_app: Callable[..., Flask], postgresql: PostgreSQL
) -> None:
    """All connections of the pool died together; only the first statement notices."""
    with reading() as first, reading() as second:
        pids = [connection.scalar(select(func.pg_backend_pid())) for connection in (first, second)]
    for pid in pids:
        postgresql.execute(f"SELECT pg_terminate_backend({pid}, 60000)")
    with executed(db.engine) as sent:
        for _ in range(3):
            assert read_all(KEYS_READ) == []
    assert len(sent) == 4


# Column types


MOMENTS = (
    datetime(2030, 1, 1, tzinfo=UTC),
    datetime(2030, 1, 1, microsecond=1, tzinfo=UTC),
    datetime(2030, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2030, 6, 1, 0, 30, tzinfo=timezone(timedelta(hours=14))),
    datetime(2030, 6, 1, 23, 30, 0, 5, tzinfo=timezone(timedelta(hours=-12))),
    datetime(1, 1, 2, tzinfo=UTC),
    datetime(9999, 12, 30, tzinfo=UTC),
)


def test_a_moment_comes_back_as_it_was_in_utc() -> None:
    with transaction() as session:
        for moment in MOMENTS:
            add(session, str(moment), expires_at=moment)
    for moment in MOMENTS:
        stored = read_all(select(RateCounter).where(RateCounter.expires_at == moment))
        assert [(row.key, row.expires_at) for row in stored] == [(str(moment), moment)]
        assert stored[0].expires_at.utcoffset() == timedelta(0)


def test_moments_are_ordered_whatever_zone_they_were_given_in() -> None:
    east = timezone(timedelta(hours=9))
    moments = [MOMENT + timedelta(microseconds=step) for step in (0, 1, 10, 999_999, 1_000_000)]
    with transaction() as session:
        for number, moment in enumerate(moments):
            add(session, str(number), expires_at=moment.astimezone(east if number % 2 else UTC))
    before = select(RateCounter.key).where(RateCounter.expires_at < moments[2])
    assert [row.key for row in read_all(before.order_by(RateCounter.key))] == ["0", "1"]
    ordered = read_all(select(RateCounter.key).order_by(RateCounter.expires_at.desc()))
    assert [row.key for row in ordered] == ["4", "3", "2", "1", "0"]


def test_no_moment_stays_none() -> None:
    with transaction() as session:
        session.execute(insert(User), new_user(**ALICE))
    assert read_all(select(User.last_login_at))[0].last_login_at is None


class Nowhere(tzinfo):
    """A zone without an offset."""

    def utcoffset(self, _moment: datetime | None) -> None:
        return None


def test_a_naive_moment_is_refused() -> None:
    for zone in (None, Nowhere()):
        with pytest.raises(StatementError, match="naive datetime"), transaction() as session:
            add(session, "a", expires_at=datetime(2030, 1, 1, tzinfo=zone))
    assert committed() == {}


KEYS = ["", "A", "Z", "_", "a", "a.b", "a_b", "aa", "b", "z", "É", "ß", "é", "ı", "ａ", "😀"]


@pytest.fixture
def stored_keys(context: None) -> None:
    with transaction() as session:
        for key in reversed(KEYS):
            add(session, key)


@pytest.mark.usefixtures("stored_keys")
def test_keys_are_ordered_byte_by_byte() -> None:
    assert sorted(KEYS, key=str.encode) == KEYS
    ordered = read_all(select(RateCounter.key).order_by(RateCounter.key))
    assert [row.key for row in ordered] == KEYS


@pytest.mark.usefixtures("stored_keys")
def test_a_key_equals_itself_alone() -> None:
    for key in KEYS:
        found = read_all(select(RateCounter.key).where(RateCounter.key == key))
        assert [row.key for row in found] == [key]


@pytest.mark.usefixtures("stored_keys")
def test_a_prefix_is_a_range() -> None:
    for prefix in ("a", "A", "é", "a.", "😀"):
        beyond = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        within = (RateCounter.key >= prefix) & (RateCounter.key < beyond)
        found = read_all(select(RateCounter.key).where(within).order_by(RateCounter.key))
        assert [row.key for row in found] == [key for key in KEYS if key.startswith(prefix)]
