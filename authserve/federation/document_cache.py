"""The documents of providers that a process remembers: their metadata and their keys."""

from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Any, TypeVar

from authserve.core.frozen import frozen

T = TypeVar("T")


@frozen()
class _Cached:
    value: Any
    fetched_at: float


class DocumentCache:
    """Documents by provider and URL, safe for threads.

    No thread waits for the fetch of another: while one fetches a document anew, the others still
    get the old one, so that its end does not send all of them to the provider.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._cached: dict[tuple[str, str], _Cached] = {}
        self._fetching: set[tuple[str, str]] = set()
        self._lock = Lock()

    def find(
        self,
        issuer: str,
        url: str,
        fetch: Callable[[], T],
        *,
        max_age_secs: float,
        grace_secs: float = 0,
    ) -> T:
        """Return the document of a URL from at most `max_age_secs` ago, else fetch it.

        Args:
            fetch: returns the document, or raises; then nothing is remembered.
            grace_secs: the time after that in which an old document is returned while another
                thread fetches it.
        """
        key = issuer, url
        with self._lock:
            limit = max_age_secs + (grace_secs if key in self._fetching else 0)
            found = self._cached.get(key)
            if found is not None and self._clock() - found.fetched_at < limit:
                value: T = found.value
                return value
            self._fetching.add(key)
        try:
            fetched = fetch()
            self._cached[key] = _Cached(fetched, self._clock())
        finally:
            with self._lock:
                self._fetching.discard(key)
        return fetched
