"""Wiring of `/metrics`; loaded only if `METRICS_TOKEN` is set."""

from collections.abc import Callable
from datetime import datetime

from flask import Flask

from authserve.audit.nightly import find_last_verification
from authserve.audit.seal import count_unsealed_events
from authserve.core.events import SUBSCRIPTIONS, DomainEvent, Subscription
from authserve.metrics.counting import METRICS, Metrics, count_when_committed
from authserve.metrics.routes import SOURCES, blueprint, count_requests
from authserve.metrics.scraping import read_audit, read_keys, read_outbox

COUNTING: tuple[Subscription, ...] = ((DomainEvent, count_when_committed),)
"""The handlers that are called after all others."""


def _find_verification() -> tuple[datetime, bool] | None:
    last = find_last_verification()
    return None if last is None else (last.at, last.fault is None)


METRICS_SOURCES = {
    "outbox": read_outbox,
    "keys": read_keys,
    "audit": read_audit(count_unsealed_events, _find_verification),
}
"""The metrics that are read from the database at each scrape, by name."""


def add_metrics(app: Flask, *, version: str) -> Callable[[float], None]:
    """Count the requests and events of `app`, and add `/metrics` to it.

    Returns:
        A callback to call with the seconds that each password hash took.
    """
    metrics = Metrics(version=version)
    METRICS.fill(app, metrics)
    SOURCES.fill(app, METRICS_SOURCES)
    SUBSCRIPTIONS.fill(app, (*SUBSCRIPTIONS.of(app), *COUNTING))
    count_requests(app, metrics)
    app.register_blueprint(blueprint)
    return metrics.observe_hash
