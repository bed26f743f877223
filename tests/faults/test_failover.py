"""A failover: one address, two servers, and the former one has become read-only."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import requests
from sqlalchemy import make_url

from tests.conftest import PostgreSQL
from tests.support.crowd import DEADLINE_SECS, all_at_once, persistently
from tests.support.postgresql import MortalPostgreSQL
from tests.support.server import Server
from tests.support.tcp_proxy import TCPProxy, tcp_proxy
from tests.support.usage import Person, assert_unavailable, newcomer

pytestmark = [pytest.mark.fault, pytest.mark.gunicorn]

CALLERS = 8


def socket_path(server: PostgreSQL) -> str:
    return str(Path(server.server.get_uri().partition("host=")[2]) / ".s.PGSQL.5432")


@pytest.fixture
def address(mortal: MortalPostgreSQL, postgresql: PostgreSQL) -> Iterator[tuple[TCPProxy, str]]:
    """The proxy, which leads to `mortal`, and the URL of a database that both servers have."""
    name = f"test_{uuid4().hex}"
    for server in (mortal, postgresql):
        server.create(name, template="template")
    user = make_url(mortal.url(name)).username
    with tcp_proxy(socket_path(mortal)) as proxy:
        url = f"postgresql+psycopg2://{user}@127.0.0.1:{proxy.port}/{name}?sslmode=disable"
        yield proxy, url
    for server in (mortal, postgresql):
        server.drop(name)


@pytest.fixture
def demote(mortal: MortalPostgreSQL) -> Iterator[Callable[[], None]]:
    """Make the former server read-only, for open connections as well."""

    def set_read_only(value: str) -> None:
        mortal.execute("SET default_transaction_read_only = off")
        mortal.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        mortal.execute("SELECT pg_reload_conf()")

    yield lambda: set_read_only("on")
    set_read_only("off")


def register_many(person: Person) -> list[requests.Response]:
    calls = [lambda: person.register(f"p{uuid4().hex[:12]}")] * CALLERS
    return all_at_once(calls, until_served=False)


def readiness(server: Server) -> requests.Response:
    return server.client(until_served=False).get("/readyz")


def database_state(server: Server) -> str:
    state: str = readiness(server).json()["checks"]["database"]
    return state


def test_the_service_follows_a_failover_without_a_restart(
    address: tuple[TCPProxy, str],
    demote: Callable[[], None],
    postgresql: PostgreSQL,
    serve: Callable[..., Server],
) -> None:
    proxy, url = address
    server = serve(url)
    person = newcomer(server)
    # Enough calls at once that each worker holds several connections to the former server; a busy
    # machine may turn some of them away.
    wait_until(lambda: {answer.status_code for answer in register_many(person)} == {201})
    demote()
    wait_until(lambda: database_state(server) == "read-only")
    for answer in register_many(person):
        assert_unavailable(answer)
    assert_unavailable(person.login())
    assert persistently(person.me).status_code == 200
    assert readiness(server).status_code == 503
    proxy.target = socket_path(postgresql)
    # The health check alone heals the workers, since a load balancer sends nothing else to one
    # that is not ready.
    wait_until(lambda: {database_state(server) for _ in range(20)} == {"ok"})
    assert persistently(person.register).status_code == 201
    wait_until(lambda: {answer.status_code for answer in register_many(person)} == {201})
    # The two servers have made signing keys of their own, as no primary and its standby would; a
    # worker may know those of the other server for a while.
    wait_until(lambda: persistently(person.login).ok and persistently(person.me).ok)


def wait_until(is_so: Callable[[], bool]) -> None:
    give_up = time.monotonic() + DEADLINE_SECS
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.05)
