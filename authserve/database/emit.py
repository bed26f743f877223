"""Emitting domain events inside the transaction of the change that they report."""

from authserve.core.events import SUBSCRIPTIONS, DomainEvent
from authserve.database.transactions import require_transaction


def emit(event: DomainEvent) -> None:
    """Call every handler of the event's class or of a parent class, in the order of wiring.

    Raises:
        RuntimeError: no transaction is open, so the effects could not commit together.
    """
    require_transaction()
    for event_type, handler in SUBSCRIPTIONS.get():
        if isinstance(event, event_type):
            handler(event)
