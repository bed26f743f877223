"""How gunicorn stops: it says so beforehand, and answers whatever it has accepted."""

import signal

from gunicorn.arbiter import Arbiter

from authserve.health.drain import DRAIN_EXTENSION, Drain


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
