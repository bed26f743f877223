"""authserve with a page that takes two seconds, so that something is in flight when it stops."""

import time

from flask import Flask

from authserve.app import create_app
from config import load_settings_or_exit

PATH = "/slow"

SLOW_SECS = 2.0
"""Duration of a slow request, as promised."""


def create_slow_app() -> Flask:
    """Build the service, as `wsgi.py` does, with the page."""
    app = create_app(load_settings_or_exit())

    @app.get(PATH)
    def slow() -> dict[str, str]:
        time.sleep(SLOW_SECS)
        return {}

    return app
