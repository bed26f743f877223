"""Workers that share connections evenly; the kernel gives each to the first worker that accepts.

A new connection wakes all workers. Clients and proxies keep their connections, so an uneven
distribution stays, and with it that of the sign-ins. Of eight callers, one worker had up to seven
and the other one, whose hashing thread was then idle (measured: a third fewer sign-ins).

So a worker that has more connections than another leaves the next one to it, but waits only
`INSTANT_SECS`: the other worker may have stopped responding.
"""

from array import array
from mmap import mmap
from time import sleep
from typing import Any

from authserve.serving.buffering import BufferingWorker

PLACES = 256
"""Number of places for counts: more than there are workers, including exited ones that gunicorn
has not noticed (chosen)."""

LEAD, LEAD_SHARE = 1, 8
"""Limit of a worker's lead in connections: one, plus an eighth of what the other has (chosen: such
a difference comes and goes, and among many connections it does not matter)."""

INSTANT_SECS = 0.001
"""Time for which a connection is left to other workers (chosen: an idle one needs a tenth)."""

_ABSENT = -1

_shared = memoryview(mmap(-1, PLACES * array("i").itemsize)).cast("i")
"""Connection counts of the workers, in memory that forks share; `_ABSENT` for a worker that does
not accept connections."""

_shared[:] = memoryview(array("i", [_ABSENT] * PLACES))


def forget_connections(worker: Any) -> None:
    """Forget an exited worker's connection count."""
    _shared[worker.age % PLACES] = _ABSENT


class SharingWorker(BufferingWorker):
    """A worker that leaves a new connection to another worker that has fewer."""

    _connections = 0
    _accepting = False

    @property
    def nr_conns(self) -> int:
        """The number of its connections; gunicorn counts them, in the main thread only."""
        return self._connections

    @nr_conns.setter
    def nr_conns(self, count: int) -> None:
        self._connections = count
        self._tell()

    def set_accept_enabled(self, enabled: bool) -> None:
        """Start or stop accepting connections, and publish the count."""
        super().set_accept_enabled(enabled)
        self._tell()

    def accept(self, listener: Any) -> None:
        """Accept a connection, unless a worker that has fewer accepts it first."""
        if self.alive and self._is_ahead() and not self._is_saturated():
            sleep(INSTANT_SECS)
        super().accept(listener)

    def _tell(self) -> None:
        _shared[self.age % PLACES] = self._connections if self._accepting else _ABSENT

    def _is_saturated(self) -> bool:
        """Return True if requests wait for a thread, so that its main thread must not pause."""
        return self.requests_under_way > int(self.cfg.threads)

    def _is_ahead(self) -> bool:
        fewest = min((count for count in _shared if count != _ABSENT), default=self._connections)
        return self._connections > fewest + LEAD + fewest // LEAD_SHARE
