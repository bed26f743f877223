"""The checks of pages by `flask doctor`."""

from flask import Flask

from authserve.features.part import Part
from authserve.health.report import FEATURE_CHECKS
from authserve.pages.checks import check_page_templates, check_pages


def add(app: Flask) -> None:
    """Add the checks."""
    FEATURE_CHECKS.add(app, check_pages, check_page_templates)


PART = Part(add=add)
