"""One function for each gate: what is done, and the lines of the table that come of it."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection
from itertools import count, cycle
from pathlib import Path
from statistics import median
from typing import Any

from bench.filling import PASSWORD
from bench.floor import HASHERS, REFERENCE, WORKERS
from bench.floor import PATH as FLOOR_PATH
from bench.limits import LIMITS
from bench.load import Answer, Caller, NextRequest, always, build_request, rate, run
from bench.server import AUTHSERVE, FLOOR, ROOT, Gunicorn, running

CALLERS = 8
"""Concurrent callers of a measurement by default."""

STORMERS = 40
"""Callers that sign in at once in the worse storm."""

PROBES = 4
PROBE_PAUSE_SECS = 0.02
"""Callers that check their tokens during a storm, and their pause between checks."""

RETRY_AFTER_SECS = 1.0
"""The wait of a refused caller: the least value of `Retry-After`."""

USERS_PER_STORMER = 50
"""They sign in by turns: at fifty sessions of one user, each sign-in would end the oldest too."""

ME = "/api/v1/users/me"
AUTH = "/api/v1/auth"


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    gate: str
    what: str
    value: str
    wanted: str = "no gate"
    verdict: str = ""


def gate_row(gate: str, kind: str, what: str, figure: float, value: str) -> Row:
    """Return the line of a figure, with the limits of its gate on this kind of database."""
    limit = LIMITS[gate][kind]
    return Row(gate.split()[0], what, value, str(limit), limit.verdict(figure))


@dataclass
class Bench:
    """Both servers on one database, and the people who use them.

    Args:
        kind: of the database, `sqlite` or `postgresql`.
        rounds: how often each pair of measurements is taken.
        seconds: how long one measurement takes.
        idle: the memory of a service that has only just answered.
        sign_ins: the Tokens of some accounts.
    """

    kind: str
    environ: dict[str, str]
    folder: Path
    rounds: int
    seconds: float
    service: Gunicorn
    floor: Gunicorn
    idle: Row
    sign_ins: list[dict[str, Any]]
    names: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def floor_request(self) -> bytes:
        """The request that the floor serves."""
        return build_request("GET", FLOOR_PATH)

    def me_request(self, number: int = 0) -> bytes:
        """Return the most frequent request to authserve, for one of the signed-in users."""
        return build_request("GET", ME, token=self.sign_ins[number]["access_token"])


def call(port: int, path: str, **fields: str) -> dict[str, Any]:
    """One POST that has to succeed, where time does not count."""
    connection = HTTPConnection("127.0.0.1", port)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", f"{AUTH}/{path}", json.dumps(fields), headers)
        response = connection.getresponse()
        document: dict[str, Any] = json.load(response)
        if response.status >= 400:
            raise RuntimeError(f"{path}: {document}")
        return document
    finally:
        connection.close()


def post(path: str, **fields: str) -> bytes:
    """The bytes of a POST to the auth blueprint."""
    return build_request("POST", f"{AUTH}/{path}", body=json.dumps(fields).encode())


def user_name(number: int) -> str:
    """Return the name of an active account of `filling.fill`; each hundredth is inactive."""
    return f"user{number + number // 99 + 1}"


def sign_in_by_turns(caller: int) -> NextRequest:
    """Sign in as one's own accounts, one after the other."""
    own = range(caller * USERS_PER_STORMER, (caller + 1) * USERS_PER_STORMER)
    names = cycle(user_name(number) for number in own)
    return lambda _answer: post("login", identifier=next(names), password=PASSWORD)


def register_anew(names: Iterator[int]) -> NextRequest:
    """Open one account after the other."""
    return lambda _answer: post(
        "register", email=f"new{next(names)}@example.com", password=PASSWORD
    )


def refresh_on_and_on(refresh_token: str) -> NextRequest:
    """Spend each refresh token on the next."""

    def next_request(answer: Answer | None) -> bytes:
        token = json.loads(answer.body)["refresh_token"] if answer else refresh_token
        return post("refresh", refresh_token=token)

    return next_request


def taking_turns(rounds: int, *measure: Callable[[], float]) -> list[tuple[float, ...]]:
    """Take measurements by turns, in the other order every other time.

    Returns:
        One tuple a round, in the order of `measure`.
    """
    taken = []
    for number in range(rounds):
        backwards = number % 2
        values = [take() for take in (reversed(measure) if backwards else measure)]
        taken.append(tuple(reversed(values) if backwards else values))
    return taken


def ratio_of(pairs: list[tuple[float, float]]) -> tuple[float, float, float]:
    """The median of the ratios, and the medians of both."""
    ratio = median(first / second for first, second in pairs)
    return ratio, median(first for first, _ in pairs), median(second for _, second in pairs)


def measure_token_checks(bench: Bench) -> list[Row]:
    """G1: `GET /users/me` against the floor."""
    service = [Caller(bench.service.port, always(bench.me_request(n))) for n in range(CALLERS)]
    floor = [Caller(bench.floor.port, always(bench.floor_request)) for _ in range(CALLERS)]
    return [row_against_floor(bench, service, floor, "G1", "GET /users/me")]


def measure_refreshes(bench: Bench) -> list[Row]:
    """G8: a refresh with its rotation against the floor."""
    service = [
        Caller(bench.service.port, refresh_on_and_on(signed_in["refresh_token"]))
        for signed_in in bench.sign_ins[:CALLERS]
    ]
    floor = [Caller(bench.floor.port, always(bench.floor_request)) for _ in range(CALLERS)]
    return [row_against_floor(bench, service, floor, "G8", "POST /auth/refresh")]


def row_against_floor(
    bench: Bench, service: list[Caller], floor: list[Caller], gate: str, what: str
) -> Row:
    """Return the rate of a service's callers against that of the floor's, by turns."""
    taken = taking_turns(
        bench.rounds,
        partial(rate, service, bench.seconds),
        partial(rate, floor, bench.seconds),
    )
    ratio, rate_here, rate_there = ratio_of([(here, there) for here, there in taken])
    value = f"{ratio:.2f} x floor ({rate_here:.0f}/s, floor {rate_there:.0f}/s)"
    return gate_row(gate, bench.kind, what, ratio, value)


def measure_passwords(bench: Bench) -> list[Row]:
    """G4: sign-ins and registrations against the machine's rate of hashing."""
    port = bench.service.port
    logins = [Caller(port, sign_in_by_turns(number)) for number in range(CALLERS)]
    registrations = [Caller(port, register_anew(bench.names)) for _ in range(CALLERS)]
    rows = []
    for what, callers in (("login", logins), ("register", registrations)):
        taken = taking_turns(
            bench.rounds,
            partial(rate, callers, bench.seconds),
            *(partial(_hashing_rate, library, bench.seconds) for library in HASHERS),
        )
        for number, library in enumerate(HASHERS, start=1):
            ratio, here, there = ratio_of([(values[0], values[number]) for values in taken])
            value = f"{ratio:.2f} x {library} ({here:.1f}/s, bare {there:.1f}/s)"
            call_name = f"POST /auth/{what}"
            if library == REFERENCE:
                rows.append(gate_row(f"G4 {what}", bench.kind, call_name, ratio, value))
            else:
                rows.append(Row("G4", call_name, value))
    return rows


def _hashing_rate(library: str, seconds: float) -> float:
    command = [sys.executable, "-m", "bench.floor", library, str(seconds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout)


def measure_storms(bench: Bench) -> list[Row]:
    """G6 and G7: token checks beside as many sign-ins as the cores can serve, and far more."""
    calm = [_storm(bench, 0)[0] for _ in range(bench.rounds)]
    rows = []
    for gate, stormers in (("G6", CALLERS), ("G7", STORMERS)):
        storms = [_storm(bench, stormers) for _ in range(bench.rounds)]
        p99 = median(p99 for p99, _ in storms)
        statuses = sum((seen for _, seen in storms), Counter())
        seen = ", ".join(f"{number} x {status}" for status, number in sorted(statuses.items()))
        value = f"p99 {p99:.1f} ms (calm {median(calm):.1f} ms; sign-ins: {seen})"
        rows.append(gate_row(gate, bench.kind, f"GET /users/me, {stormers} sign in", p99, value))
    return rows


def _storm(bench: Bench, stormers: int) -> tuple[float, Counter[int]]:
    """The p99 of token checks in ms, all of which have to succeed, and the sign-ins' statuses."""
    port = bench.service.port
    probes = [
        Caller(port, always(bench.me_request(n)), group="probe", pause_secs=PROBE_PAUSE_SECS)
        for n in range(PROBES)
    ]
    storm = [
        Caller(
            port,
            sign_in_by_turns(n),
            group="storm",
            pause_when_refused_secs=RETRY_AFTER_SECS,
        )
        for n in range(stormers)
    ]
    results = run([*probes, *storm], bench.seconds)
    return results["probe"].require_success().p99_ms, results["storm"].statuses


def measure_start(bench: Bench) -> list[Row]:
    """G10: from the start of the process to its first good answer."""

    def start(arguments: tuple[str, ...], request: bytes) -> float:
        began_at = time.perf_counter()
        with running(arguments, bench.environ, bench.folder) as server:
            return server.wait_for_answer(request) - began_at

    taken = taking_turns(
        bench.rounds,
        partial(start, AUTHSERVE, bench.me_request()),
        partial(start, FLOOR, bench.floor_request),
    )
    ratio, here, there = ratio_of([(here, there) for here, there in taken])
    value = f"{here:.2f} s, {ratio:.2f} x floor ({there:.2f} s)"
    return [gate_row("G10", bench.kind, "cold start to the first GET /users/me", ratio, value)]


def measure_memory(service: Gunicorn, kind: str, when: str) -> Row:
    """G9: memory of the tree of processes, `idle` or `loaded`."""
    figure = service.proportional_memory()
    return gate_row(
        f"G9 {when}", kind, f"memory, {WORKERS} workers, {when}", figure, f"{figure:.0f} MB"
    )
