"""The database goes away, freezes, or holds a row: R5, R6, R7 and R17."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from math import inf

import psycopg2

from bench.gates import CALLERS, post
from bench.load import Caller, always, build_request, flowing
from bench.results import Answer, Result, Seen
from bench.server import Gunicorn
from bench.stage import FOREVER_SECS, LOOK_PAUSE_SECS, Stage
from bench.verdicts import Verdict, at_least, at_most, figure, no_loss, no_refusal, none_of
from tests.support.outages import away, frozen

CALM_SECS = 3.0
"""Before a fault (chosen)."""

HEALING_SECS = 20.0
"""After it: as long again as the promises give (chosen)."""

BREAKER_SECS = 5.0
"""After so long an outage three connects have failed in each worker, so every breaker is open
(chosen)."""

HERD = 1_000
"""Clients that return at once, as promised."""

HERD_SECS = 60.0
"""Limit within which all of them are served, as promised."""

HOLD_SECS = 10.0
"""Duration of a row's lock: twice the limit of the longest request (chosen)."""

STEADY = ("/healthz", "/.well-known/jwks.json")
"""Paths that need no database."""


def measure_outage(stage: Stage) -> Iterator[Verdict]:
    """R5 and R6: PostgreSQL stops for a while, and starts again."""
    with stage.serving() as service:
        people = stage.half_load(service.port)
        looks = [_look(service, path) for path in (*STEADY, "/readyz")]
        workers = service.workers()
        with flowing([*people, *looks]) as results:
            time.sleep(CALM_SECS)
            stopped_at = time.perf_counter()
            with away(stage.postgresql):
                gone_at = time.perf_counter()
                time.sleep(stage.seconds)
                coming_at = time.perf_counter()
            back_at = time.perf_counter()
            time.sleep(HEALING_SECS)
        loss = no_loss("R5", service, workers)
    asked, ready = results["people"], results["/readyz"]
    during = asked.between(gone_at, coming_at)
    dishonest = [seen for seen in during.seen if not _is_honest(seen.refusal)]
    yield none_of("R5", "answers but 503 with Retry-After", len(dishonest), len(during.seen))
    yield at_most("R5", "p99 of the 503s", during.p99_ms / 1000, 3, "s")
    late, well = (
        result.between(gone_at + BREAKER_SECS, coming_at).p99_ms
        for result in (asked, results["/healthz"])
    )
    yield at_most("R5", f"p99 of the 503s, {BREAKER_SECS:.0f} s on", late, 100, "ms")
    yield figure("R5", "p99 of /healthz meanwhile", f"{well:.0f} ms")
    noticed = _first(ready.between(stopped_at), refused=True) - stopped_at
    yield at_most("R5", "/readyz answers 503 after", noticed, 5, "s")
    for path in STEADY:
        yield no_refusal("R5", f"answers but 200 from {path}", results[path])
    yield loss
    success = max(0.0, _first(asked.between(coming_at), refused=False) - back_at)
    yield at_most("R6", "first success after", success, 5, "s")
    ends = [seen.sent_at for seen in ready.seen if seen.refusal and seen.sent_at > coming_at]
    yield at_most("R6", "last 503 of /readyz after", max([back_at, *ends]) - back_at, 10, "s")
    yield no_refusal("R6", "refusals from 10 s on", asked.between(back_at + 10))


def _look(service: Gunicorn, path: str) -> Caller:
    """Return a caller that requests one path again and again."""
    return Caller(
        service.port,
        always(build_request("GET", path)),
        group=path,
        pause_secs=LOOK_PAUSE_SECS,
        pause_when_refused_secs=LOOK_PAUSE_SECS,
    )


def _is_honest(refusal: Answer | None) -> bool:
    """Return True if it is a 503 in the form of a problem, with `Retry-After`."""
    return (
        refusal is not None
        and refusal.status == 503
        and refusal.header("Content-Type") == "application/problem+json"
        and int(refusal.header("Retry-After") or 0) >= 1
    )


def _first(result: Result, *, refused: bool) -> float:
    """Return the time of the first refusal, or of the first answer that is not one."""
    return min(
        (_arrived_at(seen) for seen in result.seen if bool(seen.refusal) == refused), default=inf
    )


def _arrived_at(seen: Seen) -> float:
    return seen.sent_at + seen.latency_secs


def measure_freeze(stage: Stage) -> Iterator[Verdict]:
    """R7: PostgreSQL freezes for half as long as it goes away; then a row stays locked."""
    with stage.serving() as service:
        people = stage.half_load(service.port)
        workers = service.workers()
        with flowing(people) as results:
            time.sleep(CALM_SECS)
            with frozen(stage.postgresql):
                frozen_at = time.perf_counter()
                time.sleep(stage.seconds / 2)
                thawed_at = time.perf_counter()
            time.sleep(HEALING_SECS)
        asked = results["people"]
        met = [x for x in asked.seen if x.sent_at < thawed_at and _arrived_at(x) > frozen_at]
        yield at_most("R7", "slowest answer", max(x.latency_secs for x in met), 6, "s")
        during = asked.between(frozen_at, thawed_at)
        dishonest = [seen for seen in during.seen if not _is_honest(seen.refusal)]
        yield none_of("R7", "answers but 503 with Retry-After", len(dishonest), len(during.seen))
        yield no_refusal("R7", "refusals from 5 s after", asked.between(thawed_at + 5))
        yield from _measure_held_row(stage, service)
        yield no_loss("R7", service, workers)


def _measure_held_row(stage: Stage, service: Gunicorn) -> Iterator[Verdict]:
    tokens = stage.sign_in(service.port)
    refresh = always(post("refresh", refresh_token=tokens["refresh_token"]))
    held = Caller(service.port, refresh, group="held")
    people = stage.people(service.port, CALLERS, pause_secs=LOOK_PAUSE_SECS * 4)
    with closing(psycopg2.connect(stage.postgresql.get_uri())) as holder:
        query = "SELECT 1 FROM sessions WHERE id = %s FOR UPDATE"
        holder.cursor().execute(query, [tokens["session_id"]])
        with flowing([held, *people]) as results:
            time.sleep(HOLD_SECS)
    waited, others = results["held"], results["people"]
    dishonest = [seen for seen in waited.seen if not _is_honest(seen.refusal)]
    yield none_of("R7", "held row: answers but 503", len(dishonest), len(waited.seen))
    yield at_most("R7", "held row: slowest answer", max(waited.latencies_secs), 6, "s")
    yield no_refusal("R7", "held row: refusals to others", others)


def measure_herd(stage: Stage) -> Iterator[Verdict]:
    """R17: a thousand refresh as soon as the service lets them."""
    with stage.serving() as service:
        herd = [
            Caller(
                service.port,
                always(post("refresh", refresh_token=tokens["refresh_token"])),
                group="herd",
                pause_secs=FOREVER_SECS,
                pause_when_refused_secs=None,
            )
            for tokens in stage.sign_ins(service.port, HERD)
        ]
        with ExitStack() as outage:
            outage.enter_context(away(stage.postgresql))
            with flowing(herd) as results:
                time.sleep(stage.seconds)
                outage.close()
                back_at = time.perf_counter()
                _wait_for_all(results["herd"])
        output = service.output()
    seen = results["herd"].seen
    done = [_arrived_at(each) - back_at for each in seen if not each.refusal]
    waits = {each.refusal.header("Retry-After") for each in seen if each.refusal}
    in_time = sum(after <= HERD_SECS for after in done)
    yield at_least("R17", f"{HERD:,} clients, served in {HERD_SECS:.0f} s", in_time / 10, 99, "%")
    yield at_most("R17", "last of them served after", max(done, default=inf), HERD_SECS, "s")
    yield at_least("R17", "different Retry-After", len(waits), 5, "values")
    yield none_of("R17", "taken for thieves", output.count("refresh token reused"), HERD)


def _wait_for_all(result: Result) -> None:
    """Come back when the whole herd is served, or its time is up."""
    gives_up = time.perf_counter() + HERD_SECS
    while time.perf_counter() < gives_up and result.statuses[200] < HERD:
        time.sleep(LOOK_PAUSE_SECS)
