"""The worker: claims, delivers and retries messages, and deletes dead rows."""

import logging
import os
import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import ParamSpec, Protocol, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from authserve.core.container import ListSlot
from authserve.core.frozen import frozen
from authserve.core.logs import correlation_id_var
from authserve.database.transactions import transaction
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
from authserve.outbox.policy import SUPERSEDED, MessageState

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

POLL_SECS = 1.0
"""Seconds between two polls of an idle worker (chosen); a mail may start that much late."""

TROUBLE_SECS = 5.0
"""Seconds that a worker pauses after an error, mostly an unavailable database (chosen)."""

NOTE_SECS = 30.0
NOTE_PAUSE_SECS = 0.5
"""Seconds for which, and pause after which, a worker retries to record an outcome. A mail that was
sent but not recorded is sent once more; so the worker keeps trying while its lease (45 s, of which
the delivery takes 10 s at most) keeps other workers from the message."""

MAINTENANCE_SECS = 600.0
"""Seconds between two runs that delete dead rows (chosen)."""


@frozen()
class Handler:
    """The delivery of one kind of message.

    Args:
        deliver: builds and delivers it; raises `DroppedError` or `DeliveryError`.
        is_ready: returns True if deliveries make sense now, False while a circuit breaker is open.
        on_finished: called in the transaction that records `SENT` or `DEAD`, with the error of the
            last try, which is None for `SENT`.
    """

    deliver: Callable[[ClaimedMessage], None]
    is_ready: Callable[[], bool]
    on_finished: Callable[[ClaimedMessage, MessageState, str | None], None] | None = None


Purge = Callable[[], Iterator[int]]


@frozen()
class Job:
    """Periodic work of the worker besides deliveries, done in slices.

    Args:
        run: yields after each slice.
        period_secs: least time between the starts of two runs.
        trouble: the log message for a database error.
    """

    run: Purge
    period_secs: float = MAINTENANCE_SECS
    trouble: str = "dead rows could not be cleared away"


HEARTBEAT_SECS = 60.0
"""Seconds between two heartbeats (chosen: a tenth of the silence that `flask doctor` allows)."""

HEARTBEAT = Job(
    record_heartbeat,
    period_secs=HEARTBEAT_SECS,
    trouble="the worker could not record its heartbeat",
)

MESSAGE_HANDLERS = ListSlot[tuple[str, Handler]]("message_handlers")
"""The kinds of messages, each with its handler."""

PURGE_TASKS = ListSlot[Purge]("purge_tasks")
SCHEDULED_JOBS = ListSlot[Job]("scheduled_jobs")


class Stop(Protocol):
    """The signal that ends a worker's loop; a `threading.Event` satisfies it."""

    def is_set(self) -> bool:
        """Return True if the worker must stop."""

    def wait(self, timeout: float, /) -> object:
        """Wait for `timeout` seconds, or until the signal is set."""


class StopSignal:
    """A `Stop` that signal handlers can set.

    A `threading.Event` is unsafe there: the code that the signal interrupts may hold its lock.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)

    def set(self, *_signal: object) -> None:
        """Ask the worker to stop; accepts and ignores the arguments of a signal handler."""
        self._is_set = True
        with suppress(BlockingIOError):
            os.write(self._writer, b".")

    def is_set(self) -> bool:
        """Return True if the worker must stop."""
        return self._is_set

    def wait(self, timeout: float, /) -> None:
        """Wait for `timeout` seconds, or until the signal is set."""
        select.select([self._reader], [], [], timeout)


class Worker:
    """The loop of one worker.

    Args:
        handlers: by kind of message; kinds without a handler are left to other workers.
        purges: delete dead rows, every `MAINTENANCE_SECS`.
        jobs: other periodic work, each with its own period.
        context: opened around every step, so that no resource outlives the step.
        monotonic: a clock in seconds that never goes back.
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
        """Work until `stop` is set, then finish the current delivery and return."""
        while not stop.is_set():
            try:
                with self._context():
                    pause = 0.0 if self.deliver_one() else POLL_SECS
                    self._maintain(stop)
            except Exception:
                # Mostly the database is unavailable. After any error, deliveries must continue.
                logger.exception("the worker failed and pauses")
                pause = TROUBLE_SECS
            stop.wait(pause)

    def deliver_one(self) -> bool:
        """Claim and deliver one due message; return False if there is none."""
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
        except DroppedError as error:
            self._persist(mark_dropped, message, error.reason)
            logger.info("message dropped", extra={**log, "reason": error.reason})
        except DeliveryError as error:
            state = self._persist(self._record_failure, message, error)
            logger.warning("message failed", extra={**log, "reason": error.reason, "state": state})
        except Exception:
            # A bug that one message triggers must not block the others.
            logger.exception("message failed", extra=log)
            unknown = DeliveryError("internal error; see the log")
            self._persist(self._record_failure, message, unknown)
        else:
            self._persist(self._record_success, message)
            logger.info("message sent", extra=log)

    def _record_success(self, message: ClaimedMessage) -> None:
        with transaction():
            mark_sent(message)
            self._report(message, MessageState.SENT, None)

    def _record_failure(self, message: ClaimedMessage, error: DeliveryError) -> MessageState:
        with transaction():
            state = mark_failed(
                message, error.reason, is_permanent=error.is_permanent, is_final=error.is_final
            )
            if state is MessageState.DEAD:
                self._report(message, state, error.reason)
        return state

    def _report(self, message: ClaimedMessage, state: MessageState, reason: str | None) -> None:
        on_finished = self._handlers[message.kind].on_finished
        if on_finished is not None:
            on_finished(message, state, reason)

    def _persist(self, record: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that records an outcome; retry database errors for `NOTE_SECS`."""
        give_up = self._monotonic() + NOTE_SECS
        while True:
            try:
                return record(*args, **kwargs)
            except SQLAlchemyError:
                if self._monotonic() >= give_up:
                    raise
                logger.warning("an outcome could not be recorded yet", exc_info=True)
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
        """Run a job; after each slice, deliver one due message if there is one."""
        for _ in job.run():
            if stop.is_set():
                return
            self.deliver_one()
