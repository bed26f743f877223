"""Userinfo: what an app may know about its user, as it is now (OpenID Connect Core §5.3)."""

from typing import Any

from authserve.clients.claims import ClaimPlace
from authserve.core.clock import now
from authserve.core.errors import UnauthenticatedError
from authserve.oidc.access_tokens import read_access_token
from authserve.oidc.claims import make_claims
from authserve.oidc.errors import OAuthCode, OAuthError
from authserve.oidc.grants import is_usable, narrow_scopes
from authserve.oidc.queries import find_grant
from authserve.settings.model import SETTINGS


def find_userinfo(token: str) -> dict[str, Any]:
    """Return the claims about the user of an access token.

    Raises:
        OAuthError: `invalid_token`; `insufficient_scope` without `openid`;
            `insufficient_user_authentication` if the session is below what its account needs.
    """
    settings, moment = SETTINGS.get(), now()
    try:
        claims = read_access_token(
            token, audience=settings.public_url, settings=settings, now=moment
        )
    except UnauthenticatedError as error:
        raise _invalid_token() from error
    grant = find_grant(claims.session_id, now=moment) if claims.session_id is not None else None
    if grant is None or not grant.is_live(moment) or grant.row.id != claims.user_id:
        raise _invalid_token()
    if not grant.has_level(settings, moment):
        code = OAuthCode.INSUFFICIENT_USER_AUTHENTICATION
        raise OAuthError(code, "The user has to sign in to the app again, with a second factor.")
    if not is_usable(grant, settings=settings, now=moment):
        raise _invalid_token()
    scopes = [scope for scope in narrow_scopes(grant) if scope in claims.scopes]
    if "openid" not in scopes:
        raise OAuthError(OAuthCode.INSUFFICIENT_SCOPE, "The token has not the scope openid.")
    return {**make_claims(grant, scopes, ClaimPlace.USERINFO), "sub": str(grant.row.id)}


def _invalid_token() -> OAuthError:
    return OAuthError(OAuthCode.INVALID_TOKEN, "The access token is not valid.")
