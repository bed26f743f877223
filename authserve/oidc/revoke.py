"""Revocation of a token by its app (RFC 7009): the whole grant ends, so no token of it is left."""

from datetime import datetime
from uuid import UUID

from authserve.clients.authentication import ClientCredentials, find_authenticated_client
from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.clock import now
from authserve.core.errors import UnauthenticatedError
from authserve.database.transactions import transaction
from authserve.oidc.access_tokens import read_access_token_for_any
from authserve.oidc.errors import invalid_client
from authserve.oidc.queries import find_grant
from authserve.oidc.tokens import read_refresh_token
from authserve.sessions.listing import is_of_family
from authserve.sessions.policy import RevokeReason
from authserve.sessions.revoke import end_session_if_live
from authserve.settings.model import SETTINGS, Settings


def revoke_token(token: str, *, credentials: ClientCredentials, request: RequestInfo) -> None:
    """End the grant that a token of a client belongs to.

    Another client's token, and one that is not valid (any more), end nothing, and that is no
    error: the app's aim is reached (RFC 7009 §2.2).

    Args:
        token: a refresh token or an access token.

    Raises:
        OAuthError: `invalid_client`.
    """
    moment = now()
    client = find_authenticated_client(credentials, now=moment)
    if client is None:
        raise invalid_client()
    session_id = _find_session(token, SETTINGS.get(), moment)
    grant = find_grant(session_id, now=moment) if session_id is not None else None
    if grant is None or grant.client.client_id != client.client_id:
        return
    user = grant.found.actor.signed_in_user
    with transaction():
        end_session_if_live(
            user,
            grant.row.session_id,
            RevokeReason.LOGOUT,
            actor=VISITOR,
            request=request,
        )


def _find_session(token: str, settings: Settings, now: datetime) -> UUID | None:
    """Return the session that a valid token names, or None."""
    try:
        claims, _client_id = read_refresh_token(token, public_url=settings.public_url, now=now)
    except UnauthenticatedError:
        return _find_session_of_access(token, settings, now)
    is_own = is_of_family(claims.session_id, claims.family_secret)
    return claims.session_id if is_own else None


def _find_session_of_access(token: str, settings: Settings, now: datetime) -> UUID | None:
    try:
        return read_access_token_for_any(token, settings=settings, now=now).session_id
    except UnauthenticatedError:
        return None
