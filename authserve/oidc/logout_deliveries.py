"""The outcomes of logout tokens by client, for operators and metrics."""

from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update

from authserve.clients.status import LogoutDeliveries
from authserve.database.statements import table_of
from authserve.database.transactions import execute, insert_if_absent, read_all
from authserve.oidc.logout_tokens import BACKCHANNEL_LOGOUT
from authserve.oidc.models import LogoutDelivery
from authserve.outbox.inspect import find_pending

_TABLE = table_of(LogoutDelivery)

_NONE = {"delivered": 0, "failed": 0, "delivered_at": None, "failed_at": None, "fault": None}


def find_logout_deliveries(client_id: str) -> LogoutDeliveries:
    """Return the state of the logout tokens for a client, which may have had none."""
    pending = find_pending(BACKCHANNEL_LOGOUT, name="client_id", value=client_id)
    columns = [_TABLE.c[name] for name in _NONE]
    rows = read_all(select(*columns).where(_TABLE.c.client_id == client_id))
    found: dict[str, Any] = dict(rows[0]._mapping) if rows else _NONE
    return LogoutDeliveries(
        pending=pending.count,
        oldest_pending_at=pending.oldest,
        last_error=pending.last_error,
        **found,
    )


def count_logout_deliveries() -> tuple[int, int]:
    """Return how many logout tokens were delivered and given up, for all clients together."""
    delivered, failed = func.sum(_TABLE.c.delivered), func.sum(_TABLE.c.failed)
    row = read_all(select(delivered.label("delivered"), failed.label("failed")))[0]
    return int(row.delivered or 0), int(row.failed or 0)


def note_delivered(client_id: str, *, now: datetime) -> None:
    """Count a delivered token of a client, in the open transaction."""
    _write(client_id, {"delivered": _TABLE.c.delivered + 1, "delivered_at": now})


def note_failed(client_id: str, fault: str, *, now: datetime) -> None:
    """Count a token of a client that was given up, in the open transaction.

    Args:
        fault: the reason, for the operator.
    """
    _write(client_id, {"failed": _TABLE.c.failed + 1, "failed_at": now, "fault": fault})


def _write(client_id: str, values: dict[str, Any]) -> None:
    execute(insert_if_absent(LogoutDelivery), {"client_id": client_id, **_NONE})
    execute(update(_TABLE).where(_TABLE.c.client_id == client_id).values(values))
