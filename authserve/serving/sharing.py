"""Workers that share connections evenly, where the kernel would give them to whoever is first.

All workers are woken for a new connection. With clients and proxies that keep theirs, what one of
them is given by chance stays with it, and so do the sign-ins that come that way: of eight callers,
two workers had up to seven and one, and the hashing thread of the other rested (measured: a third
less sign-ins). So a worker that has more than another leaves the next one to it, for an instant:
whoever has stopped answering must not be waited for.
"""

from array import array
from mmap import mmap
from time import sleep
from typing import Any

from authserve.serving.buffering import BufferingWorker

PLACES = 256
"""More than there are workers, ended ones included that have not been noticed (chosen)."""

LEAD, LEAD_SHARE = 1, 8
"""By how many connections a worker may be ahead: one, and an eighth of what the other has (chosen:
such a difference comes and goes, and where there are many it is none)."""

INSTANT_SECS = 0.001
"""For how long a connection is left to others (chosen: a worker that rests needs a tenth of it)."""

_ABSENT = -1

_shared = memoryview(mmap(-1, PLACES * array("i").itemsize)).cast("i")
"""How many connections each worker has that accepts any, in memory that forks share."""

_shared[:] = memoryview(array("i", [_ABSENT] * PLACES))


def forget_connections(worker: Any) -> None:
    """Wait for a worker no more that has ended, however that was."""
    _shared[worker.age % PLACES] = _ABSENT


class SharingWorker(BufferingWorker):
    """A worker that leaves a connection to another that has fewer."""

    _connections = 0
    _accepting = False

    @property
    def nr_conns(self) -> int:
        """How many connections it has; gunicorn counts them, in its main thread alone."""
        return self._connections

    @nr_conns.setter
    def nr_conns(self, count: int) -> None:
        self._connections = count
        self._tell()

    def set_accept_enabled(self, enabled: bool) -> None:
        """Accept connections from now on, or no more."""
        super().set_accept_enabled(enabled)
        self._tell()

    def accept(self, listener: Any) -> None:
        """Accept a connection, unless another worker that has fewer takes it meanwhile."""
        if self.alive and self._is_ahead() and not self._is_saturated():
            sleep(INSTANT_SECS)
        super().accept(listener)

    def _tell(self) -> None:
        _shared[self.age % PLACES] = self._connections if self._accepting else _ABSENT

    def _is_saturated(self) -> bool:
        """Whether there is no time to lose, as requests wait for a thread."""
        return self.requests_under_way > int(self.cfg.threads)

    def _is_ahead(self) -> bool:
        fewest = min((count for count in _shared if count != _ABSENT), default=self._connections)
        return self._connections > fewest + LEAD + fewest // LEAD_SHARE
