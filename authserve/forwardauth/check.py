"""The use case behind each proxied request, and the end of a proxied session."""

import logging
from datetime import datetime

from authserve.auth.browser_sessions import BrowserCookie, record_use
from authserve.clients.registry import RegisteredClient
from authserve.core.actor import RequestInfo
from authserve.core.crypto import is_digest
from authserve.core.frozen import frozen
from authserve.forwardauth.errors import UnknownOriginError
from authserve.forwardauth.policy import Verdict, decide
from authserve.forwardauth.queries import (
    ProxiedSession,
    find_client_of_origin,
    find_proxied_session,
)
from authserve.sessions.errors import SessionNotFoundError
from authserve.sessions.policy import RevokeReason
from authserve.sessions.revoke import end_session
from authserve.settings.model import SETTINGS

logger = logging.getLogger(__name__)


@frozen()
class Check:
    """A checked request.

    Args:
        client_id: of the application.
        session: of the cookie; None without one that is valid here.
    """

    verdict: Verdict
    client_id: str
    session: ProxiedSession | None = None


def check_request(origin: str, cookie: BrowserCookie | None, *, now: datetime) -> Check:
    """Decide on a request to a proxied application, and record the use of its session.

    The use is written at most once in five minutes, in the session's row and in the browser's, and
    moves their idle limits.

    Args:
        origin: of the application, as the proxy names it.
        cookie: None without one.

    Raises:
        UnknownOriginError: no enabled application is there.
    """
    session = find_proxied_session(cookie.session_id, origin) if cookie is not None else None
    if session is None:
        return Check(Verdict.SIGNED_OUT, get_client_of_origin(origin).client_id)
    if not session.row.enabled:
        raise _unknown(origin)
    if cookie is None or not is_digest(session.row.cookie_digest, cookie.secret):
        return Check(Verdict.SIGNED_OUT, session.row.client_id)
    verdict = decide(session.facts(SETTINGS.get(), now), now=now)
    if verdict is Verdict.SIGNED_OUT:
        # So that a cookie whose session has ended cannot end the browser's either.
        return Check(verdict, session.row.client_id)
    if verdict is Verdict.ALLOWED:
        _record_use(session, now)
    return Check(verdict, session.row.client_id, session)


def get_client_of_origin(origin: str) -> RegisteredClient:
    """Return the enabled application at an origin.

    Raises:
        UnknownOriginError: there is none.
    """
    client = find_client_of_origin(origin)
    if client is None or not client.configuration.enabled:
        raise _unknown(origin)
    return client


def _unknown(origin: str) -> UnknownOriginError:
    # A proxied request comes from the operator's own machine, so its text is worth a line.
    logger.warning("no proxied application at this origin", extra={"origin": origin[:300]})
    return UnknownOriginError()


def _record_use(session: ProxiedSession, now: datetime) -> None:
    row = session.row
    # The parent comes first, as wherever both are written.
    record_use(
        row.parent_id,
        last_used_at=row.parent_last_used_at,
        expires_at=row.parent_expires_at,
        is_remembered=row.parent_is_remembered,
        now=now,
    )
    record_use(
        row.session_id,
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
        is_remembered=False,
        idle_ttl=session.idle_ttl,
        now=now,
    )


def sign_out(session: ProxiedSession, *, request: RequestInfo) -> None:
    """End the browser's session above a proxied session, and so the sessions of all applications.

    A session that a simultaneous call has ended stays ended.
    """
    actor = session.found.actor
    try:
        end_session(
            actor.signed_in_user,
            session.row.parent_id,
            RevokeReason.LOGOUT,
            actor=actor,
            request=request,
        )
    except SessionNotFoundError:
        return
