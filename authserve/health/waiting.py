"""Waiting for the service on this machine to answer."""

import time
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

from authserve.settings.model import Settings

PAUSE_SECS = 0.2
"""Seconds between two attempts (chosen)."""

ATTEMPT_SECS = 5.0
"""Seconds that one attempt waits for an answer (chosen)."""

EVERY_ADDRESS = frozenset({"", "0.0.0.0", "::"})


def wait_until_ready(settings: Settings, *, timeout_secs: float) -> bool:
    """Return True as soon as `/readyz` answers 200 on this machine, or False after the timeout.

    Args:
        timeout_secs: how long to try, in seconds.
    """
    give_up = time.monotonic() + timeout_secs
    while not _is_ready(settings):
        if time.monotonic() >= give_up:
            return False
        time.sleep(PAUSE_SECS)
    return True


def _is_ready(settings: Settings) -> bool:
    host = next((host for host in settings.host if host not in EVERY_ADDRESS), "localhost")
    connection = HTTPConnection(host, settings.port, timeout=ATTEMPT_SECS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
