"""The metrics of calls to providers of sign-in."""

from flask import Flask

from authserve.features.part import Part
from authserve.federation.answer_faults import FAULT_OBSERVER
from authserve.federation.upstream import UPSTREAM
from authserve.metrics.counting import METRICS


def add(app: Flask) -> None:
    """Count the calls, and the answers that fail a check."""
    metrics = METRICS.of(app)
    UPSTREAM.of(app).on_call = metrics.observe_provider_call
    FAULT_OBSERVER.fill(app, metrics.count_provider_fault)


PART = Part(add=add)
