"""The sampling thread of a web worker."""

import time
from threading import Thread

from flask import Flask

from authserve.metrics.counting import METRICS, Metrics

SAMPLE_SECS = 1.0
"""Seconds between two updates of a worker's gauges (chosen). An update at every change would cost
each request time; an update at a scrape would reach only the worker that answers."""


def start_sampling(app: Flask) -> None:
    """Start the thread that updates this worker's gauges; do nothing without `METRICS_TOKEN`."""
    if METRICS.is_filled(app):
        Thread(target=_sample_on, args=(app, METRICS.of(app)), name="metrics", daemon=True).start()


def _sample_on(app: Flask, metrics: Metrics) -> None:
    while True:
        with app.app_context():
            metrics.sample()
        time.sleep(SAMPLE_SECS)
