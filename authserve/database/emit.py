"""Emitting domain events inside the transaction of the change that they report."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.events import SUBSCRIPTIONS, AuditAction, DomainEvent, Outcome
from authserve.database.transactions import require_transaction

NO_DETAILS: Mapping[str, Any] = MappingProxyType({})


def emit(
    action: AuditAction,
    *,
    actor: Actor,
    request: RequestInfo,
    subject: UserRef | None = None,
    details: Mapping[str, Any] = NO_DETAILS,
    outcome: Outcome = Outcome.SUCCESS,
) -> None:
    """Call every handler that is subscribed to `action`, in the order of wiring.

    Args:
        action, actor, request, subject, details, outcome: see `DomainEvent`. The details gain
            the id of the API key that made the call.

    Raises:
        RuntimeError: no transaction is open, so the effects could not commit together.
    """
    require_transaction()
    if actor.api_key_id is not None:
        details = {**details, "api_key_id": str(actor.api_key_id)}
    event = DomainEvent(
        action=action,
        outcome=outcome,
        actor=actor,
        request=request,
        subject=subject,
        details=details,
    )
    for actions, handler in SUBSCRIPTIONS.get():
        if action in actions:
            handler(event)
