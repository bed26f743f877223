"""The answer to Prometheus: the workers' metrics, and metrics read from the database."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

from prometheus_client import Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from authserve.core.clock import now
from authserve.database.transactions import db, transaction
from authserve.keys.statements import find_key_dates
from authserve.metrics.counting import Metrics
from authserve.metrics.files import find_shared_folder, read_all_workers
from authserve.outbox.inspect import count_finished_messages, count_unfinished_messages

logger = logging.getLogger(__name__)

STATEMENT_TIMEOUT_MS = 1_000
"""The limit for each statement; Prometheus waits 10 s by default for the whole answer."""

RECENTLY = timedelta(hours=1)

Source = Callable[[], Iterable[Metric]]


class _Answer(Collector):
    def __init__(self, *parts: Iterable[Metric]) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        for part in self._parts:
            yield from part


def expose(metrics: Metrics, sources: Mapping[str, Source]) -> bytes:
    """Return the answer in Prometheus' text format, version 0.0.4.

    Args:
        sources: the readers of the database, by the name that is reported if one fails.
    """
    metrics.sample()
    read = _read(sources)
    folder = find_shared_folder()
    counted = metrics.registry.collect() if folder is None else read_all_workers(folder)
    return generate_latest(_Answer(_about(metrics), counted, read))


def _about(metrics: Metrics) -> Iterator[Metric]:
    build = GaugeMetricFamily("authserve_build_info", "The release.", labels=["version"])
    build.add_metric([metrics.version], 1)
    yield build
    yield _gauge("authserve_start_time_seconds", "Unix time of the start.", metrics.started_at)


def _read(sources: Mapping[str, Source]) -> list[Metric]:
    """Read each source; after a failure the others are skipped, so that the answer is not late."""
    errors = GaugeMetricFamily(
        "authserve_scrape_errors", "Sources not read for this answer.", labels=["source"]
    )
    found: list[Metric] = []
    has_failed = False
    for name, source in sources.items():
        try:
            if not has_failed:
                with _impatiently():
                    found += source()
        except SQLAlchemyError:
            logger.warning("metrics not read", extra={"source": name}, exc_info=True)
            has_failed = True
        errors.add_metric([name], has_failed)
    return [*found, errors]


@contextmanager
def _impatiently() -> Iterator[None]:
    """Limit the time of each statement of the block on PostgreSQL; SQLite needs no limit."""
    if db.engine.dialect.name != "postgresql":
        yield
        return
    with transaction() as session:
        session.execute(
            select(func.set_config("statement_timeout", str(STATEMENT_TIMEOUT_MS), True))
        )
        yield


def read_outbox() -> Iterator[Metric]:
    """Yield the numbers and ages of unfinished mails, and the numbers of recently finished ones."""
    moment = now()
    counts = GaugeMetricFamily(
        "authserve_outbox_messages", "Messages that wait or were given up.", labels=["state"]
    )
    ages = GaugeMetricFamily(
        "authserve_outbox_oldest_age_seconds",
        "Time since the oldest of them was written; 0 without any.",
        labels=["state"],
    )
    for state, found in count_unfinished_messages().items():
        counts.add_metric([state], found.count)
        ages.add_metric([state], (moment - (found.oldest or moment)).total_seconds())
    finished = GaugeMetricFamily(
        "authserve_outbox_finished_last_hour",
        "Messages written within the last hour that were sent, or dropped as pointless.",
        labels=["state"],
    )
    for state, found in count_finished_messages(since=moment - RECENTLY).items():
        finished.add_metric([state], found.count)
    yield from (counts, ages, finished)


def read_keys() -> Iterator[Metric]:
    """Yield the age of the signing key and the time to its rotation; nothing if there is no key."""
    dates, moment = find_key_dates(), now()
    if dates is not None:
        yield _gauge(
            "authserve_signing_key_age_seconds",
            "Time since the present key began to sign.",
            (moment - dates.signing_since).total_seconds(),
        )
        yield _gauge(
            "authserve_signing_key_rotation_seconds",
            "Time until the next key is made; below 0 when that is overdue.",
            (dates.rotation_due - moment).total_seconds(),
        )


def read_audit(
    count_unsealed: Callable[[], int],
    find_verification: Callable[[], tuple[datetime, bool] | None],
) -> Iterator[Metric]:
    """Yield the number of unsealed audit events, and the last verification of the trail.

    Args:
        count_unsealed: returns how many events are in no batch yet.
        find_verification: returns the time of the last verification by the worker, and True if
            the trail was whole; None before the first verification.
    """
    unsealed = count_unsealed()
    yield _gauge("authserve_audit_unsealed_events", "Audit events in no batch yet.", unsealed)
    if (verification := find_verification()) is None:
        return
    at, is_whole = verification
    yield _gauge(
        "authserve_audit_verified_timestamp_seconds",
        "Unix time of the last verification of the audit trail by the worker.",
        at.timestamp(),
    )
    yield _gauge("authserve_audit_is_whole", "1 if the trail was whole then, else 0.", is_whole)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)
