"""The end of API keys, consents and identities by a reset of their account.

It works with any `FEATURES`: their rows stay in the database while their feature is off. If a
reset left them there, a stranger's key, app or identity would open the account again once the
feature is back on. The tables are named here because a part that is off loads no module.
"""

from uuid import UUID

from flask import Flask
from sqlalchemy import String, TableClause, Uuid, column, delete, table

from authserve.core.events import SUBSCRIPTIONS, AuditAction, DomainEvent
from authserve.database.emit import emit
from authserve.database.transactions import execute
from authserve.features.part import Part

RESETS = frozenset({AuditAction.USER_PASSWORD_RESET, AuditAction.MFA_RESET})

_KEYS, _IDENTITIES = (
    table(name, column("user_id", Uuid[UUID]())) for name in ("api_keys", "identities")
)

_CONSENTS = table("consents", column("user_id", Uuid[UUID]()), column("client_id", String()))


def revoke_keys_on_reset(event: DomainEvent) -> None:
    """Handle a reset of a password or of second factors: revoke all keys of the account.

    The account may have been in another person's hands; its owner begins anew.
    """
    _delete_all(_KEYS, AuditAction.API_KEY_REVOKED, event)


def withdraw_consents_on_reset(event: DomainEvent) -> None:
    """Handle a reset of a password or of second factors: withdraw all that the account has allowed.

    A stranger who had the account may have allowed an app of theirs. It would get the owner's data
    at the owner's next visit, without a question. The sessions of apps end with all others.
    """
    user = event.subject
    if user is None:
        return
    statement = delete(_CONSENTS).where(_CONSENTS.c.user_id == user.id)
    for client_id in sorted(execute(statement.returning(_CONSENTS.c.client_id)).scalars()):
        emit(
            AuditAction.CONSENT_REVOKED,
            actor=event.actor,
            subject=user,
            request=event.request,
            details={"client_id": client_id},
        )


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
        (RESETS, withdraw_consents_on_reset),
        ({AuditAction.USER_PASSWORD_RESET}, remove_identities_on_reset),
    )


PART = Part(add=add)
