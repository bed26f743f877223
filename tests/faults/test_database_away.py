"""PostgreSQL stops and restarts: the answers to callers."""

import time
from collections.abc import Callable
from contextlib import closing

import psycopg2
import pytest
import requests

from tests.conftest import libpq_url
from tests.support.crowd import DEADLINE_SECS, all_at_once
from tests.support.faults import rounds
from tests.support.postgresql import MortalPostgreSQL
from tests.support.server import Server
from tests.support.usage import Traffic, assert_unavailable, newcomer, usual_calls

pytestmark = [pytest.mark.fault, pytest.mark.gunicorn]

CALLERS = 6
OFTEN = 20
"""Answers in a row after which almost certainly every worker has answered."""


def wait_until_healed(server: Server) -> None:
    """Wait until every breaker that was open is closed."""
    give_up = time.monotonic() + DEADLINE_SECS
    while not all(line == "closed" for line in states(server).values()):
        assert time.monotonic() < give_up
        time.sleep(0.1)


KEY_READERS = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'authserve' AND state = 'idle' AND query LIKE '%signing_keys%'
"""


def wait_until_keys_are_read(url: str, *, workers: int) -> None:
    """Wait until the last statement of each worker has read the signing keys."""
    give_up = time.monotonic() + DEADLINE_SECS
    with closing(psycopg2.connect(libpq_url(url))) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        readers = 0
        while readers < workers:
            assert time.monotonic() < give_up
            time.sleep(0.05)
            cursor.execute(KEY_READERS)
            (readers,) = cursor.fetchone()


def states(server: Server) -> dict[int, str]:
    """Return the last state of its breaker that each worker logged."""
    return {line["pid"]: line["state"] for line in server.log() if line.get("breaker")}


@pytest.mark.parametrize("crashed", [False, True], ids=["stopped", "crashed"])
def test_with_the_database_away_all_answer_503_and_heal_when_it_is_back(
    crashed: bool, mortal: MortalPostgreSQL, serve: Callable[..., Server]
) -> None:
    server = serve(mortal.fresh())
    people = [newcomer(server) for _ in range(CALLERS)]
    calls = set(usual_calls(people[0]))
    traffic = Traffic(*(usual_calls(person) for person in people))
    visitor = server.client(until_served=False)
    with traffic.flowing():
        traffic.wait_for(2, calls, since=0)
        with mortal.away(crashed=crashed):
            began = time.monotonic()
            traffic.wait_for(rounds(10, at_most=1_000), calls, since=began)
            for _ in range(OFTEN):
                assert visitor.get("/healthz").status_code == 200
                assert visitor.get("/.well-known/jwks.json").status_code == 200
                readiness = visitor.get("/readyz")
                assert readiness.status_code == 503
                assert readiness.json()["checks"]["database"] == "unavailable"
            ended = time.monotonic()
        back = time.monotonic()
        while not any(answer.status == 200 for answer in traffic.since(back)):
            assert time.monotonic() < back + DEADLINE_SECS
            time.sleep(0.05)
    for answer in traffic.since(began):
        if answer.ended < ended:
            assert answer.response is not None, answer
            assert_unavailable(answer.response)
    assert states(server)
    wait_until_healed(server)
    person = newcomer(server)
    assert {answer.status_code for answer in all_at_once([person.me] * OFTEN)} == {200}
    assert {answer.status_code for answer in all_at_once([ready(server)] * OFTEN)} == {200}


def ready(server: Server) -> Callable[[], requests.Response]:
    return lambda: server.client().get("/readyz")


def test_workers_without_requests_heal_as_well(
    mortal: MortalPostgreSQL, serve: Callable[..., Server]
) -> None:
    """Afterwards not even the first of many callers is refused."""
    server = serve(mortal.fresh())
    person = newcomer(server)
    with mortal.away():
        for answer in all_at_once([person.me] * OFTEN, until_served=False):
            assert_unavailable(answer)
        assert states(server)
    wait_until_healed(server)
    assert {answer.status_code for answer in all_at_once([person.me] * OFTEN)} == {200}


def test_the_public_keys_are_served_without_an_earlier_request(
    mortal: MortalPostgreSQL, serve: Callable[..., Server]
) -> None:
    url = mortal.fresh()
    server = serve(url)
    wait_until_keys_are_read(url, workers=len(server.workers()))

    def jwks() -> requests.Response:
        return server.client().get("/.well-known/jwks.json")

    with mortal.away():
        answers = all_at_once([jwks] * OFTEN)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1


def test_a_database_restart_between_requests_costs_no_answer(
    mortal: MortalPostgreSQL, serve: Callable[..., Server]
) -> None:
    """The pool holds only ended connections; a caller that gets one gets another instead."""
    server = serve(mortal.fresh(), WEB_CONCURRENCY="1", RATELIMIT_ENABLED="false")
    person = newcomer(server)
    headers = {"Authorization": f"Bearer {person.tokens['access_token']}"}
    change = {"display_name": "Alice"}
    calls = {
        **usual_calls(person),
        "change": lambda: person.client.patch("/api/v1/users/me", headers=headers, json=change),
        "readiness": ready(server),
        "logout": lambda: person.client.post("/api/v1/auth/logout", headers=headers),
    }
    for name, call in calls.items():
        answers = all_at_once([person.me] * 8)
        assert {answer.status_code for answer in answers} == {200}
        with mortal.away():
            pass
        answer = call()
        assert answer.ok, (name, answer.text)
