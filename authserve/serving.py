"""How gunicorn stops: it says so beforehand, and answers whatever it has accepted."""

import signal
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.workers.gthread import ThreadWorker

from authserve.core.draining import DRAIN_EXTENSION, Drain


def drain_on_sigterm(arbiter: Arbiter, *, seconds: int) -> None:
    """Have SIGTERM wait before it closes the listener; for gunicorn's hook `on_starting`.

    Until then `/readyz` answers 503, everything else is served as always, and each response
    closes its connection. A second SIGTERM ends the wait; SIGINT and SIGQUIT know none.

    Args:
        arbiter: gunicorn's master, with its application preloaded.
        seconds: how long proxies need to notice; with 0, gunicorn stops at once, as it always does.
    """
    if seconds == 0:
        return
    drain: Drain = arbiter.app.wsgi().extensions[DRAIN_EXTENSION]

    def stop() -> None:
        # What gunicorn's own handler of SIGTERM does.
        raise StopIteration

    def begin() -> None:
        if drain.is_on:
            stop()
        drain.begin()
        arbiter.log.info("Draining for %s s", seconds)
        signal.alarm(seconds)

    # The master looks its handlers up by the signals' names. An alarm needs no thread, with
    # which it could not fork safely.
    arbiter.handle_term, arbiter.handle_alrm = begin, stop
    signal.signal(signal.SIGALRM, arbiter.signal)


class Worker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker, which loses no connection when it stops."""

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
