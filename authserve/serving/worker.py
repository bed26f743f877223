"""The worker that serves: patient with clients, fair to other workers, careful when it stops."""

from typing import Any

from authserve.health.drain import DRAIN_EXTENSION, Drain
from authserve.serving.sharing import SharingWorker


class Worker(SharingWorker):
    """gunicorn's threaded worker, patient and fair, which loses no connection when it stops."""

    def handle_request(self, req: Any, conn: Any) -> bool:
        """Answer one request; while the server drains, it is its connection's last."""
        drain: Drain = self.wsgi.extensions[DRAIN_EXTENSION]
        if drain.is_on:
            req.force_close()
        is_kept: bool = super().handle_request(req, conn)
        return is_kept

    def set_accept_enabled(self, enabled: bool) -> None:
        """Accept connections from now on, or no more.

        A stopping worker first takes those that wait in the listener's queue, for clients regard
        them as accepted; and then gives the listener up, so that nobody queues there in vain.
        gunicorn's own worker does neither: it resets them all when its last request is done.
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
