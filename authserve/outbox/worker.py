"""The worker: claims, delivers, retries, and clears away what is dead."""

import logging
import os
import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from authserve.core.logs import correlation_id_var
from authserve.outbox.delivery import (
    ClaimedMessage,
    claim,
    is_newest_of_topic,
    mark_dropped,
    mark_failed,
    mark_sent,
)
from authserve.outbox.errors import DeliveryError, DroppedError
from authserve.outbox.heartbeat import record_heartbeat
from authserve.outbox.policy import SUPERSEDED

logger = logging.getLogger(__name__)

T = TypeVar("T")

POLL_SECS = 1.0
"""How long an idle worker waits before it looks again; a mail may start that late (chosen)."""

TROUBLE_SECS = 5.0
"""How long it waits when the database is away (chosen)."""

NOTE_SECS = 30.0
NOTE_PAUSE_SECS = 0.5
"""For how long, and how often, it tries to write down what became of a message. A mail whose
sending is not noted is sent once more; so it does not give up while the lease (45 s, of which
the delivery takes 10 s at most) keeps others from it."""

MAINTENANCE_SECS = 600.0
"""How often dead rows are cleared away (chosen)."""


@dataclass(frozen=True, slots=True)
class Handler:
    """How one kind of message is delivered.

    Args:
        deliver: builds and delivers it; raises `DroppedError` or `DeliveryError`.
        is_ready: whether deliveries make sense now; False while a circuit breaker is open.
    """

    deliver: Callable[[ClaimedMessage], None]
    is_ready: Callable[[], bool]


Purge = Callable[[], Iterator[int]]


@dataclass(frozen=True, slots=True)
class Job:
    """Something else that the worker does from time to time, in slices.

    Args:
        run: yields after each slice.
        period_secs: from the beginning of one run to that of the next, at the least.
        trouble: what the log says when the database refuses.
    """

    run: Purge
    period_secs: float = MAINTENANCE_SECS
    trouble: str = "dead rows could not be cleared away"


HEARTBEAT_SECS = 60.0
"""How often a worker says that it is alive (chosen: a tenth of what `flask doctor` waits)."""

HEARTBEAT = Job(
    record_heartbeat,
    period_secs=HEARTBEAT_SECS,
    trouble="the worker could not say that it is alive",
)

HANDLERS_EXTENSION = "authserve.outbox_handlers"
PURGES_EXTENSION = "authserve.purges"
JOBS_EXTENSION = "authserve.jobs"


class Stop(Protocol):
    """What ends a worker's loop; `threading.Event` is one."""

    def is_set(self) -> bool:
        """Whether the worker has to stop."""

    def wait(self, timeout: float, /) -> object:
        """Wait that many seconds, or until it is set."""


class StopSignal:
    """A `Stop` that signal handlers can set.

    An Event is none: its lock may be held by the very code that the signal interrupts.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)

    def set(self, *_signal: object) -> None:
        """Stop the worker; the arguments are those of a signal handler."""
        self._is_set = True
        with suppress(BlockingIOError):
            os.write(self._writer, b".")

    def is_set(self) -> bool:
        """Whether the worker has to stop."""
        return self._is_set

    def wait(self, timeout: float, /) -> None:
        """Wait that many seconds, or until it is set."""
        select.select([self._reader], [], [], timeout)


class Worker:
    """One worker's loop.

    Args:
        handlers: by kind of message; kinds without one are left to other workers.
        purges: what clears dead rows away.
        jobs: what else is to be done, each at its own pace.
        context: opened around every step, so that nothing outlives it.
        monotonic: seconds that only grow.
    """

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        purges: Sequence[Purge],
        *,
        jobs: Sequence[Job] = (),
        context: Callable[[], AbstractContextManager[object]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._handlers = handlers
        self._jobs = [*map(Job, purges), *jobs]
        self._context = context
        self._monotonic = monotonic
        self._begun_at = [float("-inf")] * len(self._jobs)

    def run(self, stop: Stop) -> None:
        """Work until `stop` is set; a delivery that has begun is finished first."""
        while not stop.is_set():
            try:
                with self._context():
                    pause = 0.0 if self.deliver_one() else POLL_SECS
                    self._maintain(stop)
            except Exception:
                # Mostly the database is away; whatever it is, mail must go on afterwards.
                logger.exception("the worker is in trouble and pauses")
                pause = TROUBLE_SECS
            stop.wait(pause)

    def deliver_one(self) -> bool:
        """Claim and deliver the message that is due; False if there is none."""
        ready = [kind for kind, handler in self._handlers.items() if handler.is_ready()]
        message = claim(ready) if ready else None
        if message is None:
            return False
        token = correlation_id_var.set(message.correlation_id)
        try:
            self._deliver(message)
        finally:
            correlation_id_var.reset(token)
        return True

    def _deliver(self, message: ClaimedMessage) -> None:
        log = {"message_id": str(message.id), "kind": message.kind, "attempt": message.attempts}
        try:
            if not is_newest_of_topic(message):
                raise DroppedError(SUPERSEDED)
            self._handlers[message.kind].deliver(message)
        except DroppedError as dropped:
            reason = dropped.reason
            self._note(lambda: mark_dropped(message, reason))
            logger.info("message dropped", extra={**log, "reason": reason})
        except DeliveryError as failed:
            reason = failed.reason
            is_permanent = failed.is_permanent
            state = self._note(lambda: mark_failed(message, reason, is_permanent=is_permanent))
            logger.warning("message failed", extra={**log, "reason": reason, "state": state})
        except Exception:
            # A fault of ours in one message must not keep the others waiting.
            logger.exception("message failed", extra=log)
            self._note(lambda: mark_failed(message, "internal error; see the log"))
        else:
            self._note(lambda: mark_sent(message))
            logger.info("message sent", extra=log)

    def _note(self, outcome: Callable[[], T]) -> T:
        """Write down what became of a message, over any trouble that ends in time."""
        give_up = self._monotonic() + NOTE_SECS
        while True:
            try:
                return outcome()
            except SQLAlchemyError:
                if self._monotonic() >= give_up:
                    raise
                logger.warning("an outcome could not be noted yet", exc_info=True)
            time.sleep(NOTE_PAUSE_SECS)

    def _maintain(self, stop: Stop) -> None:
        for number, job in enumerate(self._jobs):
            if self._monotonic() - self._begun_at[number] < job.period_secs:
                continue
            self._begun_at[number] = self._monotonic()
            try:
                self._run(job, stop)
            except SQLAlchemyError:
                logger.exception(job.trouble)

    def _run(self, job: Job, stop: Stop) -> None:
        """Run a job; after each slice a message that is due goes first, if there is one."""
        for _ in job.run():
            if stop.is_set():
                return
            self.deliver_one()
