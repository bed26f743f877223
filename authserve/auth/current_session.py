"""The token check: from an access token to its live session and user."""

from datetime import datetime
from typing import Any
from uuid import UUID

from authserve.auth.queries import FoundSession, find_session
from authserve.core.clock import now
from authserve.core.errors import InvalidTokenError, SessionRevokedError, UnauthenticatedError
from authserve.http.callers import Authentication
from authserve.mfa.assurance import is_mfa_required
from authserve.sessions.policy import require_live
from authserve.settings.model import SETTINGS
from authserve.tokens.access import decode_access_token


def get_live_session(session_id: UUID, *, now: datetime) -> FoundSession:
    """Return a live session with its user and their permissions.

    Raises:
        SessionRevokedError: the session is unknown or was ended, or its user is not active.
        TokenExpiredError: its idle or absolute limit has passed.
    """
    found = find_session(session_id)
    if found is None or not found.row.is_active:
        raise SessionRevokedError
    require_live(found.row, now)
    return found


def authenticate_access_token(token: str) -> Authentication:
    """Return the current actor, account and claims of an access token.

    Raises:
        InvalidTokenError, TokenExpiredError: the token is not valid, or it or its session expired.
        SessionRevokedError: its session has ended, or its user is not active.
    """
    claims = decode_access_token(token)
    moment = now()
    found = get_live_session(UUID(claims["sid"]), now=moment)
    if str(found.row.id) != claims["sub"]:
        raise InvalidTokenError
    need = found.need(is_mfa_required=is_mfa_required(SETTINGS.get(), moment))
    return Authentication(actor=found.actor, found_account=found.account, claims=claims, need=need)


def introspect(token: str) -> dict[str, Any]:
    """Return the facts about an access token that another service may know (RFC 7662 §2.2).

    Returns:
        `{"active": False}` and nothing else if it is not a valid access token of a live session
        that has the level its account needs.
    """
    try:
        authentication = authenticate_access_token(token)
    except UnauthenticatedError:
        return {"active": False}
    if authentication.actor.level < authentication.need:
        return {"active": False}
    claims, account = authentication.claims, authentication.account
    names = ("sub", "sid", "client_id", "exp", "iat", "iss", "aud", "amr", "auth_time")
    return {
        "active": True,
        **{name: claims[name] for name in names},
        "acr": authentication.actor.level.acr,
        "token_type": "Bearer",
        # RFC 7662 §2.2: a name for people. Accounts without a username show the address.
        "username": account.username or account.email,
    }
