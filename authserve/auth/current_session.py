"""The token check: from an access token to its live session and user."""

from datetime import datetime
from uuid import UUID

from authserve.auth.queries import FoundSession, find_session
from authserve.core.clock import now
from authserve.core.errors import InvalidTokenError, SessionRevokedError
from authserve.http.callers import Authentication
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
    settings, moment = SETTINGS.get(), now()
    claims = decode_access_token(token, settings=settings, now=moment)
    found = get_live_session(UUID(claims["sid"]), now=moment)
    if str(found.row.id) != claims["sub"]:
        raise InvalidTokenError
    need = found.need(settings, moment)
    return Authentication(actor=found.actor, found_account=found.account, claims=claims, need=need)
