"""Rules for every use of a grant, which client and user limit as they are now.

It is small because redemption, refresh and userinfo share it.
"""

from datetime import datetime

from authserve.clients.configuration import ClientConfiguration
from authserve.core.levels import Level
from authserve.oidc.access_tokens import is_audience_of
from authserve.oidc.errors import OAuthCode, OAuthError, invalid_grant
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


def choose_audience(
    granted: str | None, asked: str | None, *, client: ClientConfiguration, settings: Settings
) -> str:
    """Return the one audience of an access token (RFC 8707 §2.2).

    Args:
        granted: the resource of the grant; None for the issuer.
        asked: what the app names now; None for what is granted.
        client: of the grant, which may have lost the resource since.

    Raises:
        OAuthError: `invalid_target`, if the app asks for another than the grant's or the issuer, or
            may not have it any more.
    """
    issuer = settings.public_url
    if asked is not None and asked not in (granted or issuer, issuer):
        raise OAuthError(OAuthCode.INVALID_TARGET, "The resource is not that of the grant.")
    audience = asked or granted or issuer
    if not is_audience_of(client, audience, settings=settings):
        raise OAuthError(OAuthCode.INVALID_TARGET, "The resource is not one of this client.")
    return audience
