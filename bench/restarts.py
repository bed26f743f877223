"""A service stops with requests in flight, and is replaced under load: R3 and R4."""

import multiprocessing
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection
from multiprocessing.connection import Connection

from bench.load import Caller, always, build_request, flowing, run
from bench.server import AUTHSERVE, DEADLINE_SECS, Gunicorn
from bench.slow import PATH as SLOW_PATH
from bench.stage import FOREVER_SECS, LOOK_PAUSE_SECS, Stage
from bench.verdicts import Verdict, at_most, no_refusal, none_of
from tests.support.proxy import proxy_before

IN_FLIGHT = 200
"""Requests in flight, as promised: three of four take two seconds, the others almost none."""

ARRIVING_SECS = 0.5
"""Limit within which all of them have arrived (chosen)."""

DRAIN_SECS = 10
"""The time for which `/readyz` answers 503 before the listener closes (chosen: with more slow
requests in flight than threads, the probe waits for one of them, too)."""

RESTARTS = 10
"""Restarts in a row, as promised."""

BASELINE_SECS = 20.0
"""Without a restart (chosen: some thousand answers)."""

SETTLING_SECS = 1.0
"""Between two restarts (chosen)."""


def measure_stop(stage: Stage) -> Iterator[Verdict]:
    """R3: SIGTERM while two hundred requests are in flight."""
    arguments = (*AUTHSERVE[:-1], "bench.slow:create_slow_app()")
    serving = stage.serving(arguments, DRAIN_SECONDS=str(DRAIN_SECS))
    with serving as service, flowing(_in_flight(service)) as results:
        time.sleep(ARRIVING_SECS)
        stopped_at = time.perf_counter()
        service.process.send_signal(signal.SIGTERM)
        draining_secs = _wait_until_draining(service) - stopped_at
        is_listening = service.process.poll() is None
        status = service.process.wait(DEADLINE_SECS)
        stopped_secs = time.perf_counter() - stopped_at
    answers = results[""]
    missing = IN_FLIGHT - answers.statuses[200]
    yield none_of("R3", "requests in flight that were not answered", missing, IN_FLIGHT)
    yield at_most("R3", "/readyz answers 503 after", draining_secs, DRAIN_SECS, "s")
    yield none_of("R3", "stops before /readyz answered 503", int(not is_listening), 1)
    yield at_most("R3", f"exit after, {DRAIN_SECS} s of it drain", stopped_secs, 30, "s")
    yield at_most("R3", "exit status", status, 0, "")


def _in_flight(service: Gunicorn) -> list[Caller]:
    """Callers who ask once."""
    paths = [SLOW_PATH if number % 4 else "/healthz" for number in range(IN_FLIGHT)]
    return [
        Caller(service.port, always(build_request("GET", path)), pause_secs=FOREVER_SECS)
        for path in paths
    ]


def _wait_until_draining(service: Gunicorn) -> float:
    """Return the time at which `/readyz` first answered other than 200, or not at all."""
    while _readiness(service) == 200:
        time.sleep(LOOK_PAUSE_SECS)
    return time.perf_counter()


def _readiness(service: Gunicorn) -> int | None:
    """Return the status of `/readyz`, or None without an answer."""
    connection = HTTPConnection("127.0.0.1", service.port)
    with suppress(OSError):
        connection.request("GET", "/readyz", headers={"Connection": "close"})
        return connection.getresponse().status
    return None


def measure_restarts(stage: Stage) -> Iterator[Verdict]:
    """R4: two services behind a proxy, each restarted in its turn."""
    environ = {"WEB_CONCURRENCY": "2", "DRAIN_SECONDS": "1"}
    with ExitStack() as stack:
        services = [stack.enter_context(stage.serving(**environ)) for _ in range(2)]
        port = stack.enter_context(_proxy([service.port for service in services]))
        people = stage.half_load(port)
        baseline = run(people, BASELINE_SECS)["people"].require_success()
        with flowing(people) as results:
            for number in range(RESTARTS):
                _restart(services[number % 2])
    during = results["people"]
    yield no_refusal("R4", f"refusals in {RESTARTS} restarts", during)
    yield at_most("R4", "p99 against that without", during.p99_ms / baseline.p99_ms, 2, "x")
    yield at_most("R4", "p99", during.p99_ms, 2 * baseline.p99_ms, "ms")


def _restart(service: Gunicorn) -> None:
    """Replace it as a platform does: the next one waits until this one is ready."""
    service.stop()
    service.start()
    service.wait_for_answer(build_request("GET", "/readyz"))
    time.sleep(SETTLING_SECS)


@contextmanager
def _proxy(ports: Sequence[int]) -> Iterator[int]:
    """A proxy before these, in a process of its own, as its work is no caller's."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_pass_on, args=(there, ports))
    process.start()
    try:
        yield here.recv()
    finally:
        here.send(None)
        process.join()


def _pass_on(pipe: Connection, ports: Sequence[int]) -> None:
    with proxy_before(*(f"http://127.0.0.1:{port}" for port in ports)) as proxy:
        while not all(backend.is_ready for backend in proxy.backends):
            time.sleep(LOOK_PAUSE_SECS)
        pipe.send(int(proxy.url.rpartition(":")[2]))
        pipe.recv()
