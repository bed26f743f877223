"""The limit of calls to providers at once: every other thread of a worker serves other requests.

It is a module of its own because it knows nothing of HTTP.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class TooManyCallsError(Exception):
    """A call that was not made, because too many others are waiting for an answer."""


class CallLimit:
    """A count of the calls of a process that wait for providers, safe for threads.

    A call beyond the limit is refused at once: if it waited, it would itself hold a thread.

    Args:
        total: calls at once, to all providers.
        each: calls at once to one provider, so that one that hangs leaves room for the others.
    """

    def __init__(self, *, total: int, each: int) -> None:
        self._total, self._each = total, each
        self._calls: Counter[str] = Counter()
        self._lock = Lock()

    @contextmanager
    def hold(self, provider: str) -> Iterator[None]:
        """Count a call for as long as the block runs.

        Raises:
            TooManyCallsError: there are as many as allowed; the block does not run.
        """
        with self._lock:
            if self._calls.total() >= self._total or self._calls[provider] >= self._each:
                raise TooManyCallsError
            self._calls[provider] += 1
        try:
            yield
        finally:
            with self._lock:
                self._calls[provider] -= 1


def limit_for(threads: int) -> CallLimit:
    """Return the limit for a number of threads: a quarter of them in all, an eighth a provider.

    Half of them may wait for password hashes, so a quarter is left when everything hangs (chosen).
    """
    return CallLimit(total=max(1, threads // 4), each=max(1, threads // 8))
