"""The worker: claims, delivers, retries, and clears away what is dead."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from threading import Event

from sqlalchemy.exc import SQLAlchemyError

from authserve.outbox.errors import DeliveryError, DroppedError
from authserve.outbox.service import (
    ClaimedMessage,
    claim,
    is_newest_of_topic,
    mark_dropped,
    mark_failed,
    mark_sent,
)

logger = logging.getLogger(__name__)

POLL_SECS = 1.0
"""How long an idle worker waits before it looks again; a mail may start that late (chosen)."""

TROUBLE_SECS = 5.0
"""How long it waits when the database is away (chosen)."""

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

HANDLERS_EXTENSION = "authserve.outbox_handlers"
PURGES_EXTENSION = "authserve.purges"


class Worker:
    """One worker's loop.

    Args:
        handlers: by kind of message; kinds without one are left to other workers.
        purges: what clears dead rows away.
        context: opened around every step, so that nothing outlives it.
        monotonic: seconds that only grow.
    """

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        purges: Sequence[Purge],
        *,
        context: Callable[[], AbstractContextManager[object]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._handlers = handlers
        self._purges = purges
        self._context = context
        self._monotonic = monotonic
        self._maintained_at = float("-inf")

    def run(self, stop: Event) -> None:
        """Work until `stop` is set; a delivery that has begun is finished first."""
        while not stop.is_set():
            try:
                with self._context():
                    pause = 0.0 if self.deliver_one() else POLL_SECS
                    self._maintain(stop)
            except SQLAlchemyError:
                logger.exception("the worker cannot reach the database")
                pause = TROUBLE_SECS
            stop.wait(pause)

    def deliver_one(self) -> bool:
        """Claim and deliver the message that is due; False if there is none."""
        ready = [kind for kind, handler in self._handlers.items() if handler.is_ready()]
        message = claim(ready) if ready else None
        if message is None:
            return False
        self._deliver(message)
        return True

    def _deliver(self, message: ClaimedMessage) -> None:
        log = {"message_id": str(message.id), "kind": message.kind, "attempt": message.attempts}
        try:
            if not is_newest_of_topic(message):
                raise DroppedError("superseded by a newer request")
            self._handlers[message.kind].deliver(message)
        except DroppedError as error:
            mark_dropped(message, error.reason)
            logger.info("message dropped", extra={**log, "reason": error.reason})
        except DeliveryError as error:
            state = mark_failed(message, error.reason)
            logger.warning("message failed", extra={**log, "reason": error.reason, "state": state})
        except SQLAlchemyError:
            # The lease runs out and the message is tried again.
            raise
        except Exception:
            # A fault of ours in one message must not keep the others waiting.
            state = mark_failed(message, "internal error; see the log")
            logger.exception("message failed", extra={**log, "state": state})
        else:
            mark_sent(message)
            logger.info("message sent", extra=log)

    def _maintain(self, stop: Event) -> None:
        if self._monotonic() - self._maintained_at < MAINTENANCE_SECS:
            return
        self._maintained_at = self._monotonic()
        for purge in self._purges:
            for _ in purge():
                if stop.is_set():
                    return
