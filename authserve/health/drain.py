"""Whether this server is about to stop, known to all of its processes."""

from mmap import mmap

from authserve.core.container import component


class Drain:
    """One byte that a master shares with the workers that it forks after making this."""

    def __init__(self) -> None:
        self._shared = mmap(-1, 1)

    @property
    def is_on(self) -> bool:
        """Whether whoever sends requests here had better send them elsewhere."""
        return self._shared[0] == 1

    def begin(self) -> None:
        """Say so, in every process; nothing takes it back."""
        self._shared[0] = 1


DRAIN_EXTENSION = "authserve.drain"


def is_draining() -> bool:
    """Whether the server that handles the current request is about to stop."""
    drain: Drain = component(DRAIN_EXTENSION)
    return drain.is_on
