"""The entry point for gunicorn and the `flask` command: `wsgi:app`."""

import click

from config import load_settings_or_exit

settings = load_settings_or_exit()

# The import waits for the settings, so that their faults are reported quickly and alone.
from authserve.app import create_app  # noqa: E402

# gunicorn starts sooner without the modules that only the `flask` command needs.
app = create_app(settings, with_commands=click.get_current_context(silent=True) is not None)
