"""The use cases that end the caller's own sessions."""

from collections.abc import Collection
from typing import Protocol
from uuid import UUID

from authserve.auth.current_session import get_live_session
from authserve.core.actor import Actor, RequestInfo
from authserve.core.clock import now
from authserve.core.container import ListSlot
from authserve.core.errors import InvalidTokenError, SessionRevokedError
from authserve.database.transactions import transaction
from authserve.sessions.errors import SessionNotFoundError
from authserve.sessions.listing import is_of_family
from authserve.sessions.policy import RevokeReason
from authserve.sessions.revoke import end_session, end_sessions
from authserve.settings.model import SETTINGS
from authserve.tokens.access import decode_access_token
from authserve.tokens.refresh import read_refresh_token
from authserve.users.accounts import lock_user


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


class EndGrants(Protocol):
    """A use case that ends one kind of a user's grants, in the open transaction."""

    def __call__(self, user_id: UUID, /, *, actor: Actor, request: RequestInfo) -> object:
        """End all of them."""


OTHER_GRANTS = ListSlot[tuple[str, EndGrants]]("other_grants")
"""The grants that a user can end with all sessions, each with its name in `include`."""

DORMANT_GRANTS = ListSlot[tuple[str, EndGrants]]("dormant_grants")
"""Those of features that are off: no page offers them, but they would be back with the feature."""


def logout_everywhere(*, include: Collection[str] = (), actor: Actor, request: RequestInfo) -> None:
    """End every session of the caller, this one included, and perhaps other grants.

    Args:
        include: names of grants to end, too, also of features that are off.

    Raises:
        UserNotFoundError: the account is gone.
    """
    user = actor.signed_in_user
    with transaction():
        # A grant that is made meanwhile ends too, or is refused because its session has ended.
        lock_user(user.id)
        end_sessions(user, RevokeReason.LOGOUT_ALL, actor=actor, request=request)
        end_other_grants(user.id, include, actor=actor, request=request)


def end_other_grants(
    user_id: UUID, include: Collection[str], *, actor: Actor, request: RequestInfo
) -> None:
    """End grants of a user, in the open transaction, which holds the lock on the user's row.

    Args:
        include: see `logout_everywhere`.
    """
    for name, end_grants in (*OTHER_GRANTS.get(), *DORMANT_GRANTS.get()):
        if name in include:
            end_grants(user_id, actor=actor, request=request)


def _read_token(token: str) -> tuple[UUID, UUID, bytes | None]:
    """Return the ids of session and user, and the family secret if it is a refresh token."""
    settings, moment = SETTINGS.get(), now()
    try:
        claims = read_refresh_token(token, public_url=settings.public_url, now=moment)
    except InvalidTokenError:
        access = decode_access_token(token, settings=settings, now=moment, allow_expired=True)
        return UUID(access["sid"]), UUID(access["sub"]), None
    return claims.session_id, claims.user_id, claims.family_secret
