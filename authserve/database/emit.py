"""Emitting domain events inside the transaction of what they report."""

from collections.abc import Iterable
from typing import cast

from authserve.core.container import component
from authserve.core.events import EVENTS_EXTENSION, DomainEvent, Subscription
from authserve.database.transactions import require_transaction


def emit(event: DomainEvent) -> None:
    """Hand `event` to every handler of its class or of a parent class, in the order of wiring.

    Raises:
        RuntimeError: outside a transaction, where the effects could not commit together.
    """
    require_transaction()
    for event_type, handler in cast("Iterable[Subscription]", component(EVENTS_EXTENSION)):
        if isinstance(event, event_type):
            handler(event)
