"""PostgreSQL accepts connections and does not answer; or it answers, and a row stays locked."""

import time
from collections.abc import Callable

import psycopg2
import pytest

from tests.conftest import libpq_url
from tests.support.crowd import DEADLINE_SECS, all_at_once, persistently
from tests.support.faults import rounds
from tests.support.postgresql import MortalPostgreSQL
from tests.support.server import Server
from tests.support.usage import Traffic, assert_unavailable, newcomer, usual_calls

pytestmark = [pytest.mark.fault, pytest.mark.gunicorn]

CALLERS = 6


def test_with_the_database_frozen_requests_end_and_all_is_well_after_it(
    mortal: MortalPostgreSQL, serve: Callable[..., Server]
) -> None:
    """The requests in flight are cut; those after them do not wait for its end."""
    server = serve(mortal.fresh())
    people = [newcomer(server) for _ in range(CALLERS)]
    calls = set(usual_calls(people[0]))
    traffic = Traffic(*(usual_calls(person) for person in people))
    with traffic.flowing():
        traffic.wait_for(2, calls, since=0)
        with mortal.frozen():
            began = time.monotonic()
            traffic.wait_for(rounds(6, at_most=1_000), calls, since=began)
            assert server.client().get("/healthz").status_code == 200
            ended = time.monotonic()
        give_up = time.monotonic() + DEADLINE_SECS
        while not any(answer.status == 200 for answer in traffic.since(ended)):
            assert time.monotonic() < give_up
            time.sleep(0.05)
    during = [answer for answer in traffic.since(began) if answer.ended < ended]
    assert during
    for answer in during:
        assert answer.response is not None, answer
        assert_unavailable(answer.response)
    assert any(line["event"] == "database server frozen: connection cut" for line in server.log())
    person = newcomer(server)
    for answer in all_at_once([person.me] * 20):
        assert answer.status_code == 200


def test_a_frozen_connection_is_cut_and_the_next_one_serves(
    mortal: MortalPostgreSQL, serve: Callable[..., Server]
) -> None:
    """One process of the server is paused; all others run."""
    server = serve(mortal.fresh(), DATABASE_POOL_SIZE="1", WEB_CONCURRENCY="1")
    person = newcomer(server)
    with mortal.backends_frozen():
        assert_unavailable(person.me())
        assert persistently(person.me).status_code == 200
        assert persistently(person.refresh).status_code == 200


def test_a_locked_row_delays_no_other_caller(
    mortal: MortalPostgreSQL, serve: Callable[..., Server]
) -> None:
    url = mortal.fresh()
    server = serve(url)
    held, free = newcomer(server), newcomer(server)
    holder = psycopg2.connect(libpq_url(url))
    try:
        holder.cursor().execute(
            "SELECT 1 FROM sessions WHERE id = %s FOR UPDATE", [held.tokens["session_id"]]
        )
        traffic = Traffic({"refresh": held.refresh}, {"refresh of another": free.refresh})
        began = time.monotonic()
        with traffic.flowing():
            traffic.wait_for(2, {"refresh", "refresh of another"}, since=began)
        for answer in traffic.answers:
            assert answer.response is not None
            if answer.call == "refresh":
                assert_unavailable(answer.response)
            else:
                assert answer.status == 200, answer.response.text
        assert held.me().status_code == 200
    finally:
        holder.close()
    assert persistently(held.refresh).status_code == 200
