"""The end of API keys and identities by a reset of their account, whatever `FEATURES` says.

Their rows stay in the database while their feature is off. If a reset left them there, a stranger's
key or identity would open the account again once the feature is back on. The tables are named here
because a part that is off loads no module.
"""

from uuid import UUID

from flask import Flask
from sqlalchemy import TableClause, Uuid, column, delete, table

from authserve.core.events import SUBSCRIPTIONS, AuditAction, DomainEvent
from authserve.database.emit import emit
from authserve.database.transactions import execute
from authserve.features.part import Part

RESETS = frozenset({AuditAction.USER_PASSWORD_RESET, AuditAction.MFA_RESET})

_KEYS, _IDENTITIES = (
    table(name, column("user_id", Uuid[UUID]())) for name in ("api_keys", "identities")
)


def revoke_keys_on_reset(event: DomainEvent) -> None:
    """Handle a reset of a password or of second factors: revoke all keys of the account.

    The account may have been in another person's hands; its owner begins anew.
    """
    _delete_all(_KEYS, AuditAction.API_KEY_REVOKED, event)


def remove_identities_on_reset(event: DomainEvent) -> None:
    """Handle a reset of an account whose address was unverified: remove its identities.

    Its first holder may have opened it with another person's address, whom the reset shows to be
    the owner. A reset of a verified account keeps them, since it is the owner who has them.
    """
    if event.details.get("was_verified") is False:
        _delete_all(_IDENTITIES, AuditAction.IDENTITY_UNLINKED, event)


def _delete_all(rows: TableClause, action: AuditAction, event: DomainEvent) -> None:
    user = event.subject
    if user is None:
        return
    count = execute(delete(rows).where(rows.c.user_id == user.id)).rowcount
    if count:
        emit(
            action,
            actor=event.actor,
            subject=user,
            request=event.request,
            details={"count": count},
        )


def add(app: Flask) -> None:
    """Handle resets before the audit trail records them."""
    SUBSCRIPTIONS.add_first(
        app,
        (RESETS, revoke_keys_on_reset),
        ({AuditAction.USER_PASSWORD_RESET}, remove_identities_on_reset),
    )


PART = Part(add=add)
