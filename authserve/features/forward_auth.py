"""The call of reverse proxies, and the pages at the hosts of their applications."""

from flask import Flask

from authserve.features.part import Part

# These modules add their views to the blueprint.
from authserve.forwardauth import page_routes, routes  # noqa: F401
from authserve.forwardauth.blueprint import blueprint


def add(app: Flask) -> None:
    """Add the call and the pages."""
    app.register_blueprint(blueprint)


PART = Part(add=add)
