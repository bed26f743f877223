"""Check of the server that `gunicorn.conf.py` starts."""

from authserve.core.gunicorn_version import GUNICORN_VERSION, find_other_gunicorn
from authserve.health.finding import Finding, Level


def gunicorn_version() -> Finding:
    """Warn if gunicorn's version is not the one that the service's worker is made for."""
    other = find_other_gunicorn()
    if other is None:
        return Finding("gunicorn", Level.OK, f"gunicorn is {GUNICORN_VERSION}, as expected.")
    message = (
        f"gunicorn is {other}, not {GUNICORN_VERSION}: its own worker runs, so slow clients hold "
        "threads, and DRAIN_SECONDS has no effect. Install requirements.txt."
    )
    return Finding("gunicorn", Level.WARNING, message)
