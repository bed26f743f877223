"""The pages of API keys."""

from flask import Flask

from authserve.features.part import Part
from authserve.pages.key_routes import key_blueprint


def add(app: Flask) -> None:
    """Add the pages."""
    app.register_blueprint(key_blueprint)


PART = Part(add=add)
