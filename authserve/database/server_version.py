"""Which gunicorn `authserve/serving` is made for."""

import gunicorn

GUNICORN_VERSION = "27.0.1"
"""Pinned in `requirements.in`: the worker overrides methods of this version and reads with its
parser, and another version may have moved either."""


def find_other_gunicorn() -> str | None:
    """Return the installed version of gunicorn if it is another, with which its own worker runs."""
    version: str = gunicorn.__version__
    return None if version == GUNICORN_VERSION else version
