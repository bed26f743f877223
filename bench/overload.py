"""More callers than there is room for, slow ones, and a flood of sign-ins: R8 and R9."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from authserve.settings.model import PasswordCost
from bench.gates import CALLERS, PASSWORD, PROBES, post
from bench.load import Caller, always, flowing, run
from bench.results import Result
from bench.server import Gunicorn
from bench.stage import (
    HASHES_OF_A_LIFE,
    LOOK_PAUSE_SECS,
    REQUESTS_OF_A_LIFE,
    Stage,
    come_on_and_on,
    look_on_and_on,
)
from bench.verdicts import Verdict, at_least, at_most, figure, no_loss

EXCESS = 5
"""Multiple of the capacity, as promised."""

NEWCOMERS, REGULARS = "newcomers", "regulars"

SLOW_CLIENTS = 100
"""Clients that send slowly, as promised."""

SLOW_SECS = 12.0
"""The time that they stay: past the 10 s after which the service refuses them."""

FLOOD = 200
"""Sign-ins at once, as promised."""

FLOOD_SECS = 20.0
"""The duration of the flood (chosen)."""

CORES = 2
"""The promise counts one hash a core. Workers hash one at a time, so there are as many of them,
as there are by default on such a machine."""

HALF_HEAD = b"GET /healthz HTTP/1.1\r\nHost: bench\r\nX-Slow: "
HALF_BODY = post("login", identifier="someone", password=PASSWORD)[:-1]
HALF_REQUESTS = (HALF_HEAD, HALF_BODY)


def measure_overload(stage: Stage) -> Iterator[Verdict]:
    """R8: five times what the service can do, then clients that do not end their requests."""
    with stage.serving() as service:
        workers = service.workers()
        port = service.port
        capacity = stage.capacity(port)
        crowd = _crowd(stage, port, round(EXCESS * capacity))
        results = run([*crowd, *stage.probes(port, PROBES)], stage.seconds)
        probe = results.pop("probe")
        asked = Result(stage.seconds, [seen for result in results.values() for seen in result.seen])
        yield figure("R8", f"refused, where {len(crowd):,} ask", f"{_refused(asked):.0f} %")
        yield at_most("R8", "slowest refusal", _slowest_refusal(asked), 3, "s")
        yield at_least("R8", "goodput against peak", asked.goodput / capacity * 100, 70, "%")
        yield figure("R8", "sign-ins and registrations, and at peak", _hashes(results, capacity))
        yield at_most("R8", "p99 of a token check beside them", probe.p99_ms, 2000, "ms")
        probes = stage.probes(port, 1)
        with _slow_clients(service):
            result = run(probes, SLOW_SECS)["probe"].require_success()
        what = f"the same beside {SLOW_CLIENTS} slow clients"
        yield at_most("R8", what, result.p99_ms, 2000, "ms")
        yield no_loss("R8", service, workers)


def _crowd(stage: Stage, port: int, number: int) -> list[Caller]:
    """Return `number` callers with the mix of `live`: of twelve requests, two hash a password.

    Each sends one request a second and ignores `Retry-After`, so the rate equals the number of
    callers while all are answered.
    """
    newcomers = number * HASHES_OF_A_LIFE // REQUESTS_OF_A_LIFE
    asks = [(NEWCOMERS, come_on_and_on(name, stage.names)) for name in stage.identifiers(newcomers)]
    tokens = stage.sign_ins(port, number - newcomers)
    asks += [(REGULARS, look_on_and_on(each)) for each in tokens]
    return [
        Caller(port, ask, group=group, pause_secs=1.0, pause_when_refused_secs=1.0)
        for group, ask in asks
    ]


def _hashes(results: dict[str, Result], capacity: float) -> str:
    peak = capacity * HASHES_OF_A_LIFE / REQUESTS_OF_A_LIFE
    return f"{results[NEWCOMERS].goodput:.0f} and {peak:.0f} /s"


def _refused(result: Result) -> float:
    return len(result.refusals) / len(result.seen) * 100


def _slowest_refusal(result: Result) -> float:
    return max((seen.latency_secs for seen in result.seen if seen.refusal), default=0.0)


@contextmanager
def _slow_clients(service: Gunicorn) -> Iterator[None]:
    with ExitStack() as stack:
        for number in range(SLOW_CLIENTS):
            peer = stack.enter_context(socket.create_connection(("127.0.0.1", service.port)))
            peer.sendall(HALF_REQUESTS[number % len(HALF_REQUESTS)])
        yield


def measure_flood(stage: Stage) -> Iterator[Verdict]:
    """R9: two hundred sign in at once, again and again."""
    with stage.serving(WEB_CONCURRENCY=str(CORES)) as service:
        probes = stage.probes(service.port, PROBES)
        names = stage.identifiers(FLOOD)
        flood = [
            Caller(
                service.port,
                always(post("login", identifier=name, password=PASSWORD)),
                group="flood",
                pause_when_refused_secs=None,
            )
            for name in names
        ]
        # The first answers of each worker copy pages of its master's, and bring connections.
        run([*flood[: CALLERS * 2], *probes], FLOOD_SECS / 2)
        base = service.proportional_memory()
        most = base
        with flowing([*flood, *probes]) as results:
            ends_at = time.perf_counter() + FLOOD_SECS
            while time.perf_counter() < ends_at:
                most = max(most, service.proportional_memory())
                time.sleep(LOOK_PAUSE_SECS * 5)
    asked = results["flood"]
    hash_mb = PasswordCost().memory_kib * 1024 / 1e6
    limit = (base + CORES * hash_mb) * 1.2
    yield figure("R9", f"sign-ins, {_refused(asked):.0f} % refused", f"{asked.goodput:.0f} /s")
    yield at_most("R9", f"memory, {base:.0f} MB before", most, limit, "MB")
    probe = results["probe"].require_success()
    yield at_most("R9", "p99 of a token check beside them", probe.p99_ms, 500, "ms")
