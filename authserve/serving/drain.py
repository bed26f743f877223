"""SIGTERM with a draining period: `/readyz` answers 503 before gunicorn stops."""

import signal

from gunicorn.arbiter import Arbiter

from authserve.health.drain import DRAIN, Drain


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
