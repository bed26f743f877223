"""The version of gunicorn that `authserve/serving` is made for."""

import gunicorn

GUNICORN_VERSION = "27.0.1"
"""Pinned in `requirements.in`: the worker overrides methods of this version and uses its parser;
another version may have changed either."""


def find_other_gunicorn() -> str | None:
    """Return gunicorn's version if it is not `GUNICORN_VERSION`; its own worker then runs."""
    version: str = gunicorn.__version__
    return None if version == GUNICORN_VERSION else version
