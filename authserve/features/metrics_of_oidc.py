"""The metric of logout tokens."""

from flask import Flask

from authserve.features.part import Part
from authserve.metrics.backchannel import read_backchannel
from authserve.metrics.routes import SOURCES


def add(app: Flask) -> None:
    """Add the reader of deliveries."""
    SOURCES.add(app, ("backchannel", read_backchannel))


PART = Part(add=add)
