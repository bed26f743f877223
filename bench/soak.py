"""Many requests one after the other, and what stays behind: R19."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from statistics import median

import psycopg2
from psycopg2.extensions import connection

from bench.gates import CALLERS
from bench.load import flowing
from bench.results import Result
from bench.server import Gunicorn
from bench.stage import WORKERS, Stage
from bench.verdicts import Verdict, at_most, no_refusal

SAMPLE_SECS = 2.0
"""Seconds between two samples of the processes (chosen)."""

POOL_SIZE = 8
"""Connections of a worker: the default of `DATABASE_POOL_SIZE`."""

WARM_UP = 0.25
"""The part of the soak whose samples do not count: caches fill, pools grow (chosen)."""

CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'authserve'"


@dataclass(frozen=True)
class Look:
    """The processes at one moment.

    Args:
        memory_mb: shared pages counted once.
    """

    answers: int
    memory_mb: float
    open_files: int
    connections: int


def measure_soak(stage: Stage) -> Iterator[Verdict]:
    """R19: people who never rest, until there were enough answers."""
    with stage.serving() as service, closing(psycopg2.connect(stage.postgresql.get_uri())) as own:
        own.autocommit = True
        people = stage.people(service.port, CALLERS)
        with flowing(people) as results:
            looks = list(_look_on(stage, service, own, results["people"]))
    yield no_refusal("R19", "refusals", results["people"])
    warm = [look for look in looks if look.answers >= WARM_UP * stage.soak_requests]
    third = max(1, len(warm) // 3)
    first, last = warm[:third], warm[-third:]
    before, after = (median(look.memory_mb for look in part) for part in (first, last))
    yield at_most("R19", f"memory grew, {before:.0f} MB before", (after / before - 1) * 100, 2, "%")
    files, more = (max(look.open_files for look in part) for part in (first, last))
    yield at_most("R19", "most open files at the end, against before", more, files + CALLERS, "")
    most = max(look.connections for look in looks)
    yield at_most("R19", "most connections to PostgreSQL", most, WORKERS * POOL_SIZE, "")


def _look_on(stage: Stage, service: Gunicorn, own: connection, result: Result) -> Iterator[Look]:
    """Sample the processes again and again, until there were enough answers."""
    with own.cursor() as cursor:
        while (answers := len(result.seen)) < stage.soak_requests:
            cursor.execute(CONNECTIONS)
            ((connections,),) = cursor.fetchall()
            yield Look(answers, service.proportional_memory(), service.open_files(), connections)
            time.sleep(SAMPLE_SECS)
