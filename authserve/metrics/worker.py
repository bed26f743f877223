"""What a web worker does for metrics beside its requests."""

import time
from threading import Thread

from flask import Flask

from authserve.metrics.counting import METRICS_EXTENSION, Metrics

SAMPLE_SECS = 1.0
"""How old what a worker says of itself may be (chosen). To tell it at every change would cost
each request; only to tell it at a scrape would leave the other workers out."""


def start_sampling(app: Flask) -> None:
    """Let this worker say every second how it is doing; nothing without `METRICS_TOKEN`."""
    metrics = app.extensions.get(METRICS_EXTENSION)
    if metrics is not None:
        Thread(target=_sample_on, args=(app, metrics), name="metrics", daemon=True).start()


def _sample_on(app: Flask, metrics: Metrics) -> None:
    while True:
        with app.app_context():
            metrics.sample()
        time.sleep(SAMPLE_SECS)
