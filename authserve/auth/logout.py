"""The use cases that end the caller's own sessions."""

from uuid import UUID

from authserve.auth.current_session import get_live_session
from authserve.core.actor import Actor, RequestInfo
from authserve.core.clock import now
from authserve.core.errors import InvalidTokenError, SessionRevokedError
from authserve.sessions.errors import SessionNotFoundError
from authserve.sessions.listing import is_of_family
from authserve.sessions.policy import RevokeReason
from authserve.sessions.revoke import end_session, end_sessions
from authserve.settings.model import SETTINGS
from authserve.tokens.access import decode_access_token
from authserve.tokens.refresh import read_refresh_token


def logout(token: str, *, request: RequestInfo) -> None:
    """End the session of a token.

    Args:
        token: a refresh token, or an access token that may have expired.

    Raises:
        SessionRevokedError: the session is unknown or has ended already.
        TokenExpiredError: its idle or absolute limit has passed, or the refresh token has expired.
        InvalidTokenError: the token is neither kind, or the session is another user's or of another
            family.
    """
    session_id, user_id, family_secret = _read_token(token)
    actor = get_live_session(session_id, now=now()).actor
    user = actor.signed_in_user
    if user.id != user_id:
        raise InvalidTokenError
    if family_secret is not None and not is_of_family(session_id, family_secret):
        raise InvalidTokenError
    try:
        end_session(user, session_id, RevokeReason.LOGOUT, actor=actor, request=request)
    except SessionNotFoundError as error:
        # A concurrent logout ended the session first.
        raise SessionRevokedError from error


def logout_everywhere(*, actor: Actor, request: RequestInfo) -> None:
    """End every session of the caller, this one included."""
    end_sessions(actor.signed_in_user, RevokeReason.LOGOUT_ALL, actor=actor, request=request)


def _read_token(token: str) -> tuple[UUID, UUID, bytes | None]:
    """Return the ids of session and user, and the family secret if it is a refresh token."""
    try:
        claims = read_refresh_token(token, public_url=SETTINGS.get().public_url, now=now())
    except InvalidTokenError:
        access = decode_access_token(token, allow_expired=True)
        return UUID(access["sid"]), UUID(access["sub"]), None
    return claims.session_id, claims.user_id, claims.family_secret
