"""The end of API keys, consents and identities by a reset of their account, or by its owner.

It works with any `FEATURES`: their rows stay in the database while their feature is off. If a
reset left them there, a stranger's key, app or identity would open the account again once the
feature is back on. The same holds for a sign-out with `include`, which answers that all has ended.
The tables are named here because a part that is off loads no module.
"""

from uuid import UUID

from flask import Flask
from sqlalchemy import String, TableClause, Uuid, column, delete, table

from authserve.auth.logout import DORMANT_GRANTS
from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.events import SUBSCRIPTIONS, AuditAction, DomainEvent
from authserve.database.emit import emit
from authserve.database.transactions import execute
from authserve.features.part import Part
from authserve.settings.model import SETTINGS

RESETS = frozenset({AuditAction.USER_PASSWORD_RESET, AuditAction.MFA_RESET})

_KEYS, _IDENTITIES = (
    table(name, column("user_id", Uuid[UUID]())) for name in ("api_keys", "identities")
)

_CONSENTS = table("consents", column("user_id", Uuid[UUID]()), column("client_id", String()))


def revoke_keys_on_reset(event: DomainEvent) -> None:
    """Handle a reset of a password or of second factors: revoke all keys of the account.

    The account may have been in another person's hands; its owner begins anew.
    """
    if event.subject is not None:
        _revoke_keys(event.subject, actor=event.actor, request=event.request)


def withdraw_consents_on_reset(event: DomainEvent) -> None:
    """Handle a reset of a password or of second factors: withdraw all that the account has allowed.

    A stranger who had the account may have allowed an app of theirs. It would get the owner's data
    at the owner's next visit, without a question. The sessions of apps end with all others.
    """
    if event.subject is not None:
        _withdraw_consents(event.subject, actor=event.actor, request=event.request)


def remove_identities_on_reset(event: DomainEvent) -> None:
    """Handle a reset of an account whose address was unverified: remove its identities.

    Its first holder may have opened it with another person's address, whom the reset shows to be
    the owner. A reset of a verified account keeps them, since it is the owner who has them.
    """
    if event.subject is not None and event.details.get("was_verified") is False:
        action = AuditAction.IDENTITY_UNLINKED
        _delete_all(_IDENTITIES, action, event.subject, actor=event.actor, request=event.request)


def revoke_own_keys(_user_id: UUID, /, *, actor: Actor, request: RequestInfo) -> None:
    """Revoke all keys of the actor's own account, while the feature is off."""
    _revoke_keys(actor.signed_in_user, actor=actor, request=request)


def withdraw_own_consents(_user_id: UUID, /, *, actor: Actor, request: RequestInfo) -> None:
    """Withdraw all that the actor has allowed apps, while the feature is off.

    Their sessions have ended with all others.
    """
    _withdraw_consents(actor.signed_in_user, actor=actor, request=request)


def _revoke_keys(user: UserRef, *, actor: Actor, request: RequestInfo) -> None:
    _delete_all(_KEYS, AuditAction.API_KEY_REVOKED, user, actor=actor, request=request)


def _withdraw_consents(user: UserRef, *, actor: Actor, request: RequestInfo) -> None:
    statement = delete(_CONSENTS).where(_CONSENTS.c.user_id == user.id)
    for client_id in sorted(execute(statement.returning(_CONSENTS.c.client_id)).scalars()):
        emit(
            AuditAction.CONSENT_REVOKED,
            actor=actor,
            subject=user,
            request=request,
            details={"client_id": client_id},
        )


def _delete_all(
    rows: TableClause, action: AuditAction, user: UserRef, *, actor: Actor, request: RequestInfo
) -> None:
    count = execute(delete(rows).where(rows.c.user_id == user.id)).rowcount
    if count:
        emit(action, actor=actor, subject=user, request=request, details={"count": count})


def add(app: Flask) -> None:
    """Handle resets before the audit trail records them; end grants of features that are off."""
    SUBSCRIPTIONS.add_first(
        app,
        (RESETS, revoke_keys_on_reset),
        (RESETS, withdraw_consents_on_reset),
        ({AuditAction.USER_PASSWORD_RESET}, remove_identities_on_reset),
    )
    features = SETTINGS.of(app).features
    if "api-keys" not in features:
        DORMANT_GRANTS.add(app, ("api-keys", revoke_own_keys))
    if "oidc" not in features:
        DORMANT_GRANTS.add(app, ("apps", withdraw_own_consents))


PART = Part(add=add)
