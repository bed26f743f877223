"""Limits on a real server: three processes, one count, and a storage that goes away."""

import time
from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
import requests

import config
from tests.support.clients import PASSWORD
from tests.support.crowd import all_at_once
from tests.support.marks import both_databases
from tests.support.redis import RedisServer
from tests.support.server import DEADLINE_SECS, Server

pytestmark = pytest.mark.gunicorn

MakeServer = Callable[..., Server]

PATIENT = {
    "gunicorn.conf.py": (config.ROOT / "gunicorn.conf.py").read_text()
    + f"""
import authserve.ratelimit.storage
authserve.ratelimit.storage.REDIS_TIMEOUT_SECS = {DEADLINE_SECS}
"""
}
"""A server that takes no Redis for away, however busy the machine is."""

AWAY = "ordinary limits are off: no storage"
BACK = "ordinary limits are on again"


def forgot(server: Server, email: str) -> requests.Response:
    body = {"email": email}
    return server.client().post("/api/v1/auth/password/forgot", json=body)


def count_let_through(server: Server) -> int:
    """A hundred requests at once, over all workers, for a call limited to five an hour and user."""
    client = server.client()
    person = {"email": "ada@example.com", "password": PASSWORD}
    assert client.post("/api/v1/auth/register", json=person).status_code == 201
    login = {"identifier": "ada@example.com", "password": PASSWORD}
    token = client.post("/api/v1/auth/login", json=login).json()["access_token"]

    def ask() -> requests.Response:
        impatient = server.client(until_served=False)
        headers, body = {"Authorization": f"Bearer {token}"}, {"new_email": "lovelace@example.com"}
        give_up = time.monotonic() + DEADLINE_SECS
        # A machine that is too busy may answer 503, before the call is counted or after.
        while not is_limited(
            response := impatient.post("/api/v1/users/me/email", headers=headers, json=body)
        ):
            assert time.monotonic() < give_up
        return response

    statuses = Counter(response.status_code for response in all_at_once([ask] * 100))
    return 100 - statuses[429]


@both_databases
def test_a_crowd_over_several_workers_gets_exactly_what_the_limit_says(
    make_server: MakeServer,
) -> None:
    server = make_server(RATELIMIT_ENABLED="true")
    assert count_let_through(server) == 5


def test_redis_counts_as_exactly(make_server: MakeServer, redis_server: RedisServer) -> None:
    limits = {"RATELIMIT_ENABLED": "true", "RATELIMIT_STORAGE_URL": redis_server.url}
    assert count_let_through(make_server(files=PATIENT, **limits)) == 5


def is_limited(response: requests.Response) -> bool:
    return "RateLimit-Limit" in response.headers


@pytest.mark.fault
@pytest.mark.parametrize("fault", ["stopped", "frozen"])
def test_without_redis_no_caller_is_refused_and_limits_come_back(
    make_server: MakeServer, redis_server: RedisServer, fault: str
) -> None:
    server = make_server(RATELIMIT_ENABLED="true", RATELIMIT_STORAGE_URL=redis_server.url)
    numbers = count()

    def ask() -> requests.Response:
        return forgot(server, f"{next(numbers)}@example.com")

    # A busy machine may have kept Redis from answering in time.
    wait_until_limited_everywhere(server, ask)
    before = events(server)
    (redis_server.stop if fault == "stopped" else redis_server.freeze)()
    without = [ask() for _ in range(60)]
    assert {response.status_code for response in without} == {202}
    assert not any(map(is_limited, without))
    assert 0 < events(server)[AWAY] - before[AWAY] <= len(server.workers())
    (redis_server.start if fault == "stopped" else redis_server.thaw)()
    wait_until_limited_everywhere(server, ask)


def events(server: Server) -> Counter[str]:
    return Counter(line["event"] for line in server.log())


def wait_until_limited_everywhere(server: Server, ask: Callable[[], Any]) -> None:
    """Wait until every worker that has lost the storage has it again."""
    give_up = time.monotonic() + DEADLINE_SECS
    while True:
        is_back = is_limited(ask())
        told = events(server)
        if is_back and told[AWAY] == told[BACK]:
            return
        assert time.monotonic() < give_up, told
        time.sleep(0.2)
