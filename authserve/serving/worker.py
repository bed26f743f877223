"""The worker class that `gunicorn.conf.py` names: it buffers, shares connections and drains."""

from typing import Any

from authserve.health.drain import DRAIN, Drain
from authserve.serving.sharing import SharingWorker


class Worker(SharingWorker):
    """A buffering and sharing worker that loses no accepted connection when it stops."""

    def handle_request(self, req: Any, conn: Any) -> bool:
        """Handle a request; while the server drains, close its connection afterwards."""
        drain: Drain = DRAIN.of(self.wsgi)
        if drain.is_on:
            req.force_close()
        is_kept: bool = super().handle_request(req, conn)
        return is_kept

    def set_accept_enabled(self, enabled: bool) -> None:
        """Start or stop accepting connections.

        A stopping worker first accepts the connections in the listener's queue, because to their
        clients they are open. Then it closes the listener, so that no client waits there in vain.
        gunicorn's own worker does neither: it resets them all after its last request.
        """
        is_stopping = not (enabled or self.alive)
        if is_stopping:
            for listener in self.sockets:
                self._accept_waiting(listener)
        super().set_accept_enabled(enabled)
        if is_stopping:
            for listener in self.sockets:
                listener.close()

    def _accept_waiting(self, listener: Any) -> None:
        accepted = -1
        while accepted < self.nr_conns < self.worker_connections:
            accepted = self.nr_conns
            self.accept(listener)
