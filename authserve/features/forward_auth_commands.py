"""The checks of forward authentication by `flask doctor`."""

from flask import Flask

from authserve.features.part import Part
from authserve.health.proxy_checks import check_networks, check_origins
from authserve.health.report import FEATURE_CHECKS, FEATURE_DATA_CHECKS


def add(app: Flask) -> None:
    """Add the checks."""
    FEATURE_CHECKS.add(app, check_networks)
    FEATURE_DATA_CHECKS.add(app, check_origins)


PART = Part(add=add)
