"""What gunicorn and the flask command load: `wsgi:app`."""

import click

from config import load_settings_or_exit

settings = load_settings_or_exit()

# Only now, so that a fault in the settings is told at once and by itself.
from authserve.app import create_app  # noqa: E402

# gunicorn starts sooner without what the flask command alone needs.
app = create_app(settings, with_commands=click.get_current_context(silent=True) is not None)
