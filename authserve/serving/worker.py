"""The worker class that `gunicorn.conf.py` names, and its draining at SIGTERM.

While the server drains, `/readyz` answers 503 before gunicorn stops.
"""

import signal
from typing import Any

from gunicorn.arbiter import Arbiter

from authserve.health.drain import DRAIN, Drain
from authserve.serving.buffering import BufferingWorker


class Worker(BufferingWorker):
    """A buffering worker that loses no accepted connection when it stops."""

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


def drain_on_sigterm(arbiter: Arbiter, *, seconds: int) -> None:
    """Make SIGTERM wait before it closes the listener; called in gunicorn's hook `on_starting`.

    During the wait `/readyz` answers 503, all other calls are served as usual, and each response
    closes its connection. A second SIGTERM ends the wait; SIGINT and SIGQUIT do not wait.

    Args:
        arbiter: gunicorn's master, with its application preloaded.
        seconds: the time that proxies need to notice; with 0, SIGTERM is gunicorn's own.
    """
    if seconds == 0:
        return
    drain: Drain = DRAIN.of(arbiter.app.wsgi())

    def stop() -> None:
        # gunicorn's own SIGTERM handler does the same.
        raise StopIteration

    def begin() -> None:
        if drain.is_on:
            stop()
        drain.begin()
        arbiter.log.info("Draining for %s s", seconds)
        signal.alarm(seconds)

    # The master finds its handlers by the signals' names. An alarm needs no thread; with threads,
    # the master could not fork safely.
    arbiter.handle_term, arbiter.handle_alrm = begin, stop
    signal.signal(signal.SIGALRM, arbiter.signal)
