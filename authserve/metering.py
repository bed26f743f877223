"""What is counted where `/metrics` is wanted: nothing of it is loaded without `METRICS_TOKEN`."""

from collections.abc import Callable

from flask import Flask

from authserve.audit.service import count_unsealed_events
from authserve.core.events import EVENTS_EXTENSION, DomainEvent, Subscription
from authserve.metrics.routes import SOURCES_EXTENSION, blueprint, count_requests
from authserve.metrics.service import (
    METRICS_EXTENSION,
    Metrics,
    count_when_committed,
    read_keys,
    read_outbox,
    read_unsealed,
)

COUNTING: tuple[Subscription, ...] = ((DomainEvent, count_when_committed),)
"""Who is told after all others."""

METRICS_SOURCES = {
    "outbox": read_outbox,
    "keys": read_keys,
    "audit": read_unsealed(count_unsealed_events),
}
"""What `/metrics` reads from the database."""


def add_metrics(app: Flask, *, version: str) -> Callable[[float], None]:
    """Count what happens in `app`, and answer `/metrics`.

    Returns:
        What wants to be told how many seconds each password took.
    """
    metrics = Metrics(version=version)
    app.extensions[METRICS_EXTENSION] = metrics
    app.extensions[SOURCES_EXTENSION] = METRICS_SOURCES
    app.extensions[EVENTS_EXTENSION] = (*app.extensions[EVENTS_EXTENSION], *COUNTING)
    count_requests(app, metrics)
    app.register_blueprint(blueprint)
    return metrics.observe_hash
