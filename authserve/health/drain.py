"""The drain flag: all processes of a server share it, and it is set before the server stops."""

from mmap import mmap

from authserve.core.container import Slot


class Drain:
    """A flag of one byte that a master shares with the workers that it forks afterwards."""

    def __init__(self) -> None:
        self._shared = mmap(-1, 1)

    @property
    def is_on(self) -> bool:
        """True once the server is draining: new requests should go to another server."""
        return self._shared[0] == 1

    def begin(self) -> None:
        """Set the flag for every process; it cannot be unset."""
        self._shared[0] = 1


DRAIN = Slot[Drain]("drain")


def is_draining() -> bool:
    """Return True if the server that handles the current request is about to stop."""
    drain: Drain = DRAIN.get()
    return drain.is_on
