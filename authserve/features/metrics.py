"""The metrics of requests, events and hashes, and `/metrics`."""

from datetime import datetime
from functools import partial

from flask import Flask

from authserve import __version__
from authserve.audit.seal import count_unsealed_events
from authserve.audit.status import find_last_verification
from authserve.core.events import SUBSCRIPTIONS, AuditAction
from authserve.features.part import Part
from authserve.metrics.counting import METRICS, Metrics, count_when_committed
from authserve.metrics.routes import SOURCES, blueprint, count_requests
from authserve.metrics.scraping import read_audit, read_keys, read_outbox
from authserve.passwords.hasher import PASSWORD_HASHER


def add(app: Flask) -> None:
    """Count the requests, events and hashes of `app`, and add `/metrics` to it."""
    metrics = Metrics(version=__version__)
    METRICS.fill(app, metrics)
    audit = partial(read_audit, count_unsealed_events, _find_verification)
    SOURCES.add(app, ("outbox", read_outbox), ("keys", read_keys), ("audit", audit))
    SUBSCRIPTIONS.add(app, (frozenset(AuditAction), count_when_committed))
    PASSWORD_HASHER.of(app).on_hashed = metrics.observe_hash
    count_requests(app, metrics)
    app.register_blueprint(blueprint)


def _find_verification() -> tuple[datetime, bool] | None:
    last = find_last_verification()
    return None if last is None else (last.at, last.fault is None)


PART = Part(add=add)
