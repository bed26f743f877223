"""More callers than capacity: some get 503, nothing breaks, memory stays bounded."""

from collections import Counter
from collections.abc import Callable

import psutil
import psycopg2
import pytest

from tests.conftest import libpq_url
from tests.support.crowd import all_at_once, persistently
from tests.support.faults import rounds
from tests.support.postgresql import MortalPostgreSQL
from tests.support.server import Server
from tests.support.usage import Person, assert_unavailable, newcomer

pytestmark = [pytest.mark.fault, pytest.mark.gunicorn]

MEBIBYTE = 2**20


def test_with_all_connections_in_use_callers_are_refused_within_the_pools_timeout(
    mortal: MortalPostgreSQL, serve: Callable[..., Server]
) -> None:
    """Callers that wait for a locked row keep a connection; callers of other rows wait for one.

    Both give up after 2 s, in which no worker is taken for hung.
    """
    url = mortal.fresh()
    server = serve(url, DATABASE_POOL_SIZE="2")
    held, free = newcomer(server), newcomer(server)
    holder = psycopg2.connect(libpq_url(url))
    try:
        holder.cursor().execute(
            "SELECT 1 FROM sessions WHERE id = %s FOR UPDATE", [held.tokens["session_id"]]
        )
        for _ in range(rounds(1, at_most=30)):
            answers = all_at_once([held.refresh] * 20 + [free.me] * 20, until_served=False)
            for answer in answers[:20]:
                assert_unavailable(answer)
            for answer in answers[20:]:
                if answer.status_code != 200:
                    assert_unavailable(answer)
    finally:
        holder.close()
    assert any("QueuePool limit" in line.get("exc_info", "") for line in server.log())
    for person in (held, free):
        assert persistently(person.refresh).status_code == 200
        assert persistently(person.me).status_code == 200


def test_many_times_more_callers_than_connections_are_all_answered(
    mortal: MortalPostgreSQL, serve: Callable[..., Server]
) -> None:
    server = serve(mortal.fresh(), DATABASE_POOL_SIZE="1")
    person = newcomer(server)
    answers = Counter(
        answer.status_code for answer in all_at_once([person.me] * 60, until_served=False)
    )
    assert set(answers) <= {200, 503}
    assert answers[200] > 0
    assert {answer.status_code for answer in all_at_once([person.me] * 2)} == {200}


def test_a_flood_of_logins_takes_bounded_memory_and_starves_no_token_check(
    mortal: MortalPostgreSQL, serve: Callable[..., Server]
) -> None:
    """Each worker hashes one password at a time, 19 MiB each; two hundred at once would take 4 GB.

    Callers that would wait for too long are refused.
    """
    # Platforms use this number of threads; half of them may wait for a hash.
    server = serve(mortal.fresh(), WEB_THREADS="32")
    person, onlooker = newcomer(server), newcomer(server)
    before = memory(server)
    flood = all_at_once([lambda: visit(server, person, onlooker)] * rounds(200, at_most=200))
    assert {status for status, _ in flood} <= {200, 429, 503}
    assert any(status == 200 for status, _ in flood)
    assert {status for _, status in flood} == {200}
    assert memory(server) < before + len(server.workers()) * 64 * MEBIBYTE
    assert persistently(person.login).status_code == 200


def visit(server: Server, person: Person, onlooker: Person) -> tuple[int, int]:
    """Return the status of a login and, after it, of another user's GET /users/me.

    The fifty-first login of one user ends that user's oldest session, so it may not be asked for.
    """
    client = server.client(until_served=False)
    login = Person(client, name=person.name, tokens=dict(person.tokens)).login()
    if login.status_code == 503:
        assert_unavailable(login)
    return login.status_code, persistently(onlooker.me).status_code


def memory(server: Server) -> int:
    """Return the bytes of memory that only the workers hold."""
    return sum(psutil.Process(pid).memory_full_info().uss for pid in server.workers())
