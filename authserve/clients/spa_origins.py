"""The origins of apps in browsers, whose pages may call the token endpoint (WHATWG Fetch, CORS)."""

import re
import time
from threading import Lock

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from authserve.clients.kinds import ClientKind
from authserve.clients.models import Client
from authserve.database.statements import table_of
from authserve.database.transactions import read_all

CACHE_SECS = 30.0
"""Time for which a worker keeps the list, in seconds (design)."""

_CLIENTS = table_of(Client)

_ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<host>\[[^\]]*\]|[^/:?]+)(?::(?P<port>[0-9]+))?")

_DEFAULT_PORTS = {"https": "443", "http": "80"}


def origin_of(uri: str) -> str | None:
    """Return the origin of a redirect URI as browsers send it; None for a private scheme."""
    found = _ORIGIN.match(uri)
    if found is None:
        return None
    scheme, port = found["scheme"], found["port"]
    is_default = port is None or port == _DEFAULT_PORTS[scheme]
    return f"{scheme}://{found['host'].lower()}{'' if is_default else f':{port}'}"


class SPAOrigins:
    """The origins of the enabled clients of kind `spa`, read at most every `CACHE_SECS`.

    It is thread-safe. Several threads may read the list at once; each result is as good.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._origins: frozenset[str] = frozenset()
        self._expires_at = 0.0

    def find(self) -> frozenset[str]:
        """Return the origins; while the database is away, those that were read last."""
        with self._lock:
            if time.monotonic() < self._expires_at:
                return self._origins
        try:
            origins = _read_origins()
        except (DBAPIError, PoolTimeoutError):
            # The call itself meets the same outage, and reports it.
            origins = self._origins
        with self._lock:
            self._origins, self._expires_at = origins, time.monotonic() + CACHE_SECS
        return origins


def _read_origins() -> frozenset[str]:
    rows = read_all(
        select(_CLIENTS.c.redirect_uris).where(
            _CLIENTS.c.kind == ClientKind.SPA.value,
            _CLIENTS.c.enabled.is_(True),
            _CLIENTS.c.deleted_at.is_(None),
        )
    )
    found = (origin_of(uri) for row in rows for uri in row.redirect_uris)
    return frozenset(origin for origin in found if origin is not None)
