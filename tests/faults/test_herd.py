"""All clients return at once after an outage, after their `Retry-After`."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask

from authserve.app import create_app
from authserve.database.transactions import db
from tests.conftest import make_settings
from tests.support.clients import register_caller
from tests.support.crowd import DEADLINE_SECS
from tests.support.faults import rounds
from tests.support.postgresql import MortalPostgreSQL
from tests.support.server import Server
from tests.support.usage import Person, assert_unavailable

pytestmark = [pytest.mark.fault, pytest.mark.gunicorn]

CLIENTS = rounds(60, at_most=200) * rounds(1, at_most=5)
"""Number of clients; a thousand in `make faults`."""


@pytest.fixture
def database_url(mortal: MortalPostgreSQL) -> str:
    """A database of the server that may be broken."""
    return mortal.fresh()


@pytest.fixture
def local(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    """An application in the test's own process, where accounts are made with cheap hashes."""
    app = create_app(make_settings(database_url, tmp_path))
    yield app
    with app.app_context():
        db.engine.dispose()


def test_a_thundering_herd_is_spread_and_no_retry_counts_as_reuse(
    local: Flask, database_url: str, mortal: MortalPostgreSQL, serve: Callable[..., Server]
) -> None:
    callers = [register_caller(local, f"client{number}") for number in range(CLIENTS)]
    server = serve(database_url)
    herd = [
        Person(
            server.client(until_served=False),
            name=caller.user["username"],
            tokens=dict(caller.tokens),
        )
        for caller in callers
    ]
    waits: list[int] = []
    with ThreadPoolExecutor(max_workers=CLIENTS) as threads:
        with mortal.away():
            ends = [threads.submit(refresh_until_answered, person, waits) for person in herd]
            give_up = time.monotonic() + DEADLINE_SECS
            while len(waits) < CLIENTS:
                assert time.monotonic() < give_up
                time.sleep(0.1)
        statuses = [end.result() for end in ends]
    assert statuses == [200] * CLIENTS
    assert len(set(waits)) >= 5
    assert not [line for line in server.log() if line["event"] == "refresh token reused"]
    for person, caller in zip(herd, callers, strict=True):
        assert person.tokens["session_id"] == caller.tokens["session_id"]
        assert person.tokens["refresh_token"] != caller.tokens["refresh_token"]


def refresh_until_answered(person: Person, waits: list[int]) -> int:
    """Refresh after each `Retry-After`; return the status of the last answer."""
    give_up = time.monotonic() + DEADLINE_SECS
    while (answer := person.refresh()).status_code == 503 and time.monotonic() < give_up:
        assert_unavailable(answer)
        waits.append(int(answer.headers["Retry-After"]))
        time.sleep(waits[-1])
    return answer.status_code
