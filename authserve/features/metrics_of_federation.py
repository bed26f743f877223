"""The metrics of calls to providers of sign-in."""

from flask import Flask

from authserve.features.part import Part
from authserve.federation.upstream import UPSTREAM
from authserve.metrics.counting import METRICS


def add(app: Flask) -> None:
    """Count the calls."""
    UPSTREAM.of(app).on_call = METRICS.of(app).observe_provider_call


PART = Part(add=add)
