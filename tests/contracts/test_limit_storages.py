"""What ordinary limits rely on: our storage behaves as the library's own does."""

from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage, Storage
from limits.strategies import FixedWindowRateLimiter

from authserve.core.clock import now
from authserve.database.transactions import reading
from authserve.ratelimit.models import THROTTLE_PREFIX
from authserve.ratelimit.storage import TABLE, RedisStorage, SQLStorage, WindowStorage
from tests.support.crowd import all_at_once, served
from tests.support.marks import both_databases
from tests.support.redis import RedisServer

Clock = time_machine.Traveller

INSTANT = timedelta(microseconds=1)

STORAGES = {
    "memory": (MemoryStorage, "sqlite"),
    "database, SQLite": (SQLStorage, "sqlite"),
    "database, PostgreSQL": (SQLStorage, "postgresql"),
}

each_storage = pytest.mark.parametrize(
    ("storage", "database_kind"), STORAGES.values(), ids=STORAGES, indirect=True
)


@pytest.fixture
def storage(request: pytest.FixtureRequest, context: None) -> Storage:
    """An empty storage, of the kind that the test asks for or ours."""
    made: Storage = getattr(request, "param", SQLStorage)()
    return made


@each_storage
def test_it_counts_each_key_by_itself(clock: Clock, storage: Storage) -> None:
    assert [storage.incr("a", 60) for _ in range(3)] == [1, 2, 3]
    assert storage.incr("b", 60) == 1
    assert [storage.get(key) for key in ("a", "b", "c")] == [3, 1, 0]


@each_storage
def test_it_counts_several_at_once(clock: Clock, storage: Storage) -> None:
    assert storage.incr("a", 60, 5) == 5
    assert storage.incr("a", 60, amount=2) == 7
    assert storage.get("a") == 7


@each_storage
def test_a_key_may_be_any_text(clock: Clock, storage: Storage) -> None:
    keys = ("LIMITS:LIMITER/::1/auth.login/20/1/minute", "ü", "a'b", "%_\\", " ", "a" * 200)
    assert [storage.incr(key, 60) for key in keys] == [1] * len(keys)
    assert [storage.get(key) for key in keys] == [1] * len(keys)


@each_storage
def test_a_window_begins_with_its_first_hit_and_is_not_extended(
    clock: Clock, storage: Storage
) -> None:
    end = now() + timedelta(seconds=60)
    storage.incr("a", 60)
    clock.shift(59)
    assert storage.incr("a", 60) == 2
    assert storage.get_expiry("a") == end.timestamp()
    clock.move_to(end - INSTANT)
    assert storage.get("a") == 2
    clock.move_to(end)
    assert storage.get("a") == 0
    assert storage.incr("a", 60) == 1
    assert storage.get_expiry("a") == end.timestamp() + 60


@each_storage
def test_without_a_window_it_ends_now(clock: Clock, storage: Storage) -> None:
    assert storage.get_expiry("a") == now().timestamp()
    storage.incr("a", 60)
    clock.shift(61)
    storage.get("a")
    assert storage.get_expiry("a") == now().timestamp()


@each_storage
def test_clear_forgets_one_key(clock: Clock, storage: Storage) -> None:
    storage.incr("a", 60)
    storage.incr("b", 60)
    storage.clear("a")
    storage.clear("never counted")
    assert [storage.get(key) for key in ("a", "b")] == [0, 1]
    assert storage.incr("a", 60) == 1


@each_storage
def test_reset_forgets_all_and_says_how_many(clock: Clock, storage: Storage) -> None:
    for key in ("a", "b", "c"):
        storage.incr(key, 60)
    assert storage.reset() == 3
    assert [storage.get(key) for key in ("a", "b", "c")] == [0, 0, 0]
    assert storage.reset() == 0


@each_storage
def test_it_says_that_it_is_well(storage: Storage) -> None:
    assert storage.check() is True


@each_storage
def test_a_hundred_at_once_are_counted_exactly(app: Flask, storage: Storage) -> None:
    # The library's own can lose hits that race to open a window.
    storage.incr("a", 600)

    def hit() -> int:
        with app.app_context():
            return served(lambda: storage.incr("a", 600))

    assert sorted(all_at_once([hit] * 100)) == list(range(2, 102))
    assert storage.get("a") == 101


@each_storage
def test_a_limit_lets_its_number_through_and_no_more(clock: Clock, storage: Storage) -> None:
    limiter, limit = FixedWindowRateLimiter(storage), RateLimitItemPerMinute(5)
    assert [limiter.hit(limit, "192.0.2.1") for _ in range(7)] == [True] * 5 + [False] * 2
    assert limiter.hit(limit, "192.0.2.2")
    stats = limiter.get_window_stats(limit, "192.0.2.1")
    assert (stats.reset_time, stats.remaining) == (now().timestamp() + 60, 0)
    clock.shift(60)
    assert limiter.hit(limit, "192.0.2.1")


@both_databases
def test_hits_that_race_to_open_a_window_are_counted_exactly(app: Flask, storage: Storage) -> None:
    def hit() -> int:
        with app.app_context():
            return served(lambda: storage.incr("a", 600))

    assert sorted(all_at_once([hit] * 100)) == list(range(1, 101))


def test_a_limit_holds_for_a_crowd(app: Flask, storage: Storage) -> None:
    limiter, limit = FixedWindowRateLimiter(storage), RateLimitItemPerMinute(20)

    def hit() -> bool:
        with app.app_context():
            return served(lambda: limiter.hit(limit, "192.0.2.1"))

    assert all_at_once([hit] * 100).count(True) == 20


@both_databases
def test_a_reset_of_ordinary_limits_lets_nobody_guess_on(clock: Clock, storage: Storage) -> None:
    storage.incr(f"{THROTTLE_PREFIX}0123", 60)
    storage.incr("LIMITS:a", 60)
    assert storage.reset() == 1
    with reading() as connection:
        kept = connection.execute(TABLE.select()).all()
    assert [row.key for row in kept] == [f"{THROTTLE_PREFIX}0123"]


# What both of ours answer a hit with


@pytest.fixture(params=["database", "redis"])
def windows(request: pytest.FixtureRequest, context: None) -> WindowStorage:
    """An empty storage of ours."""
    if request.param == "database":
        return SQLStorage()
    return RedisStorage(request.getfixturevalue("redis_server").url)


def test_a_hit_tells_the_sum_and_the_end(windows: WindowStorage) -> None:
    before = now().timestamp()
    first, second = windows.hit("a", 600), windows.hit("a", 600)
    after = now().timestamp()
    assert (first.hits, second.hits, windows.hit("b", 60).hits) == (1, 2, 1)
    assert before + 600 - 0.01 <= first.ends_at <= after + 600
    # Redis tells milliseconds, at the time of each answer.
    assert second.ends_at == pytest.approx(first.ends_at, abs=after - before + 0.01)


def test_hits_that_race_tell_each_sum_once(app: Flask, windows: WindowStorage) -> None:
    def hit() -> int:
        with app.app_context():
            return served(lambda: windows.hit("a", 600)).hits

    assert sorted(all_at_once([hit] * 50)) == list(range(1, 51))


def test_redis_gives_an_end_to_a_counter_without_one(redis_server: RedisServer) -> None:
    storage = RedisStorage(redis_server.url)
    storage.get_connection().set(storage.prefixed_key("a"), 3)
    assert storage.hit("a", 600).hits == 4
    assert 0 < storage.get_connection().ttl(storage.prefixed_key("a")) <= 600
