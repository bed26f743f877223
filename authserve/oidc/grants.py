"""Rules for every use of a grant, which client and user limit as they are now.

It is small because redemption, refresh and userinfo share it.
"""

from datetime import datetime

from authserve.core.levels import Level
from authserve.oidc.errors import invalid_grant
from authserve.oidc.policy import SignedInUser, find_consented_scopes, find_granted_scopes
from authserve.oidc.queries import FoundGrant
from authserve.settings.model import Settings


def is_usable(grant: FoundGrant, *, settings: Settings, now: datetime) -> bool:
    """Return True if the grant is live, its client is enabled, and its user may use the app."""
    client, actor = grant.client.configuration, grant.found.actor
    is_open = not client.allowed_roles or bool(set(client.allowed_roles).intersection(actor.roles))
    return client.enabled and is_open and grant.is_live(now) and grant.has_level(settings, now)


def require_usable(grant: FoundGrant, *, settings: Settings, now: datetime) -> None:
    """Refuse a grant that its app may not use now.

    Raises:
        OAuthError: `invalid_grant`: the grant is not usable, or no scope is left.
    """
    if not is_usable(grant, settings=settings, now=now) or not narrow_scopes(grant):
        raise invalid_grant()


def narrow_scopes(grant: FoundGrant) -> tuple[str, ...]:
    """Return the granted scopes that client, consent and user still have, in their order."""
    actor, row = grant.found.actor, grant.row
    user = SignedInUser(
        id=row.id,
        level=Level(row.aal),
        reachable_level=Level(row.aal),
        auth_time=row.auth_time,
        roles=frozenset(actor.roles),
        sleeping_roles=frozenset(),
        permissions=actor.permissions,
        holds_everything=actor.holds_everything,
    )
    client = grant.client.configuration
    consented = find_consented_scopes(grant.scopes, client=client, consent=grant.consent)
    return find_granted_scopes(consented, client=client, user=user)
