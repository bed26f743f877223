"""The use cases of refresh, reauthentication and logout."""

from uuid import UUID

from authserve.auth.current_session import LoginResult, get_live_sign_in, signed_in
from authserve.auth.queries import ROTATION, LiveSession
from authserve.core.actor import Actor, RequestInfo
from authserve.core.errors import InvalidTokenError, SessionRevokedError
from authserve.sessions.errors import SessionNotFoundError
from authserve.sessions.listing import is_of_family
from authserve.sessions.policy import RevokeReason
from authserve.sessions.revoke import end_session, end_sessions
from authserve.sessions.rotate import PresentedRefresh, rotate_session
from authserve.sessions.start import renew_authentication
from authserve.users.passwords import confirm_password


def refresh(presented: PresentedRefresh, *, request: RequestInfo) -> LoginResult:
    """Spend a refresh token and continue its session.

    Raises:
        SessionRevokedError, TokenExpiredError, InvalidTokenError, TokenReusedError: see
            `sessions.rotate.rotate_session`.
    """
    rotation = rotate_session(presented, request=request, advance=ROTATION)
    return signed_in(rotation.session, rotation.row)


def reauthenticate(*, password: str, actor: Actor, request: RequestInfo) -> LiveSession:
    """Verify the password of a signed-in user once more; the session stays the same.

    Raises:
        WrongPasswordError: counted by the login throttle.
        SessionRevokedError: the session ended meanwhile.
        TooManyAttemptsError, HasherBusyError: see `users.passwords.confirm_password`.
    """
    user, session_id = actor.signed_in_user, _session_id(actor)
    confirm_password(user, password, actor=actor, request=request)
    renew_authentication(user, session_id, actor=actor, request=request)
    return get_live_sign_in(session_id)


def logout(
    session_id: UUID, user_id: UUID, family_secret: bytes | None, *, request: RequestInfo
) -> None:
    """End the session that a verified token names.

    Args:
        family_secret: from a refresh token; None for an access token.

    Raises:
        SessionRevokedError: the session is unknown or has ended already.
        TokenExpiredError: its idle or absolute limit has passed.
        InvalidTokenError: it is another user's, or the refresh token is not of this session.
    """
    actor = get_live_sign_in(session_id).actor
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


def _session_id(actor: Actor) -> UUID:
    if actor.session_id is None:
        raise LookupError("the actor has no session")
    return actor.session_id
