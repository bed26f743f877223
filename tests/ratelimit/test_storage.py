"""Storages of limits: each counts every hit once, in windows that end."""

import time
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from redis import Redis

from authserve.core.clock import now
from authserve.ratelimit.counters import LimitCounters
from authserve.ratelimit.storage import RedisStorage, SQLStorage
from tests.support.crowd import DEADLINE_SECS, all_at_once, persistently
from tests.support.marks import both_databases
from tests.support.redis import RedisServer

Clock = time_machine.Traveller
Storage = SQLStorage | RedisStorage

INSTANT = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)

each_storage = pytest.mark.parametrize(
    ("storage", "database_kind"),
    [("database", "sqlite"), ("database", "postgresql"), ("redis", "sqlite")],
    indirect=True,
)


@pytest.fixture
def storage(request: pytest.FixtureRequest, context: None) -> Storage:
    """An empty storage."""
    if request.param == "database":
        return SQLStorage()
    return RedisStorage(request.getfixturevalue("redis_server").url)


@each_storage
def test_it_counts_each_key_by_itself(storage: Storage) -> None:
    assert [storage.hit("a", MINUTE).hits for _ in range(3)] == [1, 2, 3]
    assert storage.hit("b", MINUTE).hits == 1
    assert storage.hit("a", MINUTE).hits == 4


@each_storage
def test_a_key_may_be_any_text(storage: Storage) -> None:
    keys = ("LIMITER/::1/auth.login/20/1/minute", "ü", "a'b", "%_\\", " ", "a" * 200)
    for count in (1, 2):
        assert [storage.hit(key, MINUTE).hits for key in keys] == [count] * len(keys)


@each_storage
def test_a_hit_returns_the_end_of_its_window(storage: Storage) -> None:
    before = now().timestamp()
    first, second = storage.hit("a", MINUTE), storage.hit("a", MINUTE)
    after = now().timestamp()
    # Redis answers with milliseconds from its own clock.
    assert before + 60 - 0.01 <= first.ends_at <= after + 60
    assert second.ends_at == pytest.approx(first.ends_at, abs=after - before + 0.01)


@each_storage
def test_hits_do_not_extend_their_window(storage: Storage) -> None:
    give_up = time.monotonic() + DEADLINE_SECS
    first = storage.hit("a", timedelta(seconds=1))
    while (window := storage.hit("a", timedelta(seconds=1))).hits > 1:
        assert time.monotonic() < give_up
        time.sleep(0.02)
    assert window.ends_at >= first.ends_at + 1 - 0.01


@both_databases
def test_a_window_has_ended_at_its_end(clock: Clock, context: None) -> None:
    storage, end = SQLStorage(), now() + MINUTE
    assert storage.hit("a", MINUTE).ends_at == end.timestamp()
    clock.move_to(end - INSTANT)
    last = storage.hit("a", MINUTE)
    assert (last.hits, last.ends_at, last.remaining_secs) == (2, end.timestamp(), 1)
    clock.move_to(end)
    next_window = storage.hit("a", MINUTE)
    assert (next_window.hits, next_window.ends_at) == (1, (end + MINUTE).timestamp())
    assert next_window.remaining_secs == 60


@each_storage
@pytest.mark.parametrize("hits_before", [0, 1])
def test_hits_that_race_are_counted_exactly(app: Flask, storage: Storage, hits_before: int) -> None:
    """They may race to open the window."""
    for _ in range(hits_before):
        storage.hit("a", 10 * MINUTE)

    def hit() -> int:
        with app.app_context():
            return persistently(lambda: storage.hit("a", 10 * MINUTE)).hits

    sums = range(hits_before + 1, hits_before + 101)
    assert sorted(all_at_once([hit] * 100)) == list(sums)


@pytest.fixture
def redis(redis_server: RedisServer) -> Redis:
    """A client of the Redis that counts."""
    client: Redis = Redis.from_url(redis_server.url)
    return client


def test_redis_can_count_if_it_accepts_writes(redis_server: RedisServer, redis: Redis) -> None:
    """A read-only replica answers a PING, but counts nothing."""
    counters = LimitCounters(redis_server.url)
    assert counters.find_fault() is None
    redis.replicaof("127.0.0.1", "1")
    assert redis.ping()
    assert counters.find_fault() == "it is a replica, which takes no writes"


def test_redis_that_does_not_count_has_a_reason(redis_server: RedisServer, redis: Redis) -> None:
    counters = LimitCounters(redis_server.url)
    assert counters.find_fault() is None
    redis.config_set("maxmemory", 1)
    assert counters.find_fault() == "its memory is full: raise maxmemory"
    redis.config_set("maxmemory", 0)
    redis.config_set("requirepass", "hunter2")
    fault = LimitCounters(redis_server.url).find_fault()
    assert fault == "it refuses the user or the password"
    redis_server.stop()
    assert LimitCounters(redis_server.url).find_fault() == "it cannot be reached"


def test_redis_gives_an_end_to_a_counter_without_one(
    redis_server: RedisServer, redis: Redis
) -> None:
    redis.set("LIMITS:a", 3)
    assert RedisStorage(redis_server.url).hit("a", 10 * MINUTE).hits == 4
    assert 0 < redis.pttl("LIMITS:a") <= 600_000


def test_all_keys_in_redis_have_the_prefix_of_earlier_releases(
    redis_server: RedisServer, redis: Redis
) -> None:
    RedisStorage(redis_server.url).hit("LIMITER/a", MINUTE)
    assert redis.keys() == [b"LIMITS:LIMITER/a"]
