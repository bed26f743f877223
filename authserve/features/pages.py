"""The pages on which people sign in."""

from flask import Flask

from authserve.features.part import Part
from authserve.http.root import START_PAGE
from authserve.pages.routes import START_PATH, blueprint
from authserve.settings.model import SETTINGS
from authserve.web.setup import add_web

_TEMPLATES = {"oidc": "authserve.oidc", "forward-auth": "authserve.forwardauth"}
"""The packages of features that have templates of their own."""


def add(app: Flask) -> None:
    """Add the pages, and redirect browsers to them."""
    features = SETTINGS.of(app).features
    others = [package for name, package in _TEMPLATES.items() if name in features]
    add_web(app, packages=["authserve.pages", *others])
    app.register_blueprint(blueprint)
    START_PAGE.fill(app, START_PATH)


PART = Part(add=add)
