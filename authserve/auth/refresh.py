"""The use case that continues a session: refresh."""

from datetime import datetime

from authserve.auth.current_session import get_live_session
from authserve.auth.session_writes import rotate_session
from authserve.core.actor import RequestInfo
from authserve.core.clock import now
from authserve.core.errors import StepUpRequiredError
from authserve.keys.store import KEY_STORE
from authserve.mfa.assurance import is_mfa_required
from authserve.sessions.renew import require_within_grace
from authserve.settings.model import SETTINGS, Settings
from authserve.tokens.access import LiveSession
from authserve.tokens.refresh import RefreshClaims, Tokens, issue_tokens, read_refresh_token


def refresh(token: str, *, request: RequestInfo) -> tuple[Tokens, bool]:
    """Exchange a refresh token for the next pair.

    Args:
        token: as presented.
        request: for the audit event of a reuse.

    Returns:
        The pair, and True if the token was a retry, within the grace of an earlier refresh.

    Raises:
        InvalidTokenError, TokenExpiredError: see `read_refresh_token` and `continue_session`.
        SessionRevokedError, TokenReusedError: see `continue_session`.
        StepUpRequiredError: see `continue_session`.
        SigningKeyUnavailableError: the next tokens could not be signed; nothing was spent.
    """
    moment, settings = now(), SETTINGS.get()
    claims = read_refresh_token(token, public_url=settings.public_url, now=moment)
    # First, so that no token is spent if the next ones could not be signed.
    key = KEY_STORE.get().signing_key()
    session = continue_session(claims, request=request, settings=settings, now=moment)
    tokens = issue_tokens(session, key=key, fresh=False, settings=settings, now=moment)
    return tokens, session.is_retry


def continue_session(
    claims: RefreshClaims, *, request: RequestInfo, settings: Settings, now: datetime
) -> LiveSession:
    """Spend a refresh token: its session advances by one generation, stays, or ends.

    Within the grace after a rotation, callers with the current or the previous generation get the
    current one, so clients that share a token all end with a valid one.

    Args:
        claims: of the verified token.
        request: for the audit event of a reuse.
        settings: for the session's limits and the grace.
        now: the time of the refresh.

    Raises:
        SessionRevokedError: the session is unknown or was ended, or its user is not active.
        TokenExpiredError: the idle or the absolute limit has passed.
        InvalidTokenError: user or family secret are not the session's, despite a valid signature.
        TokenReusedError: the token is old; the end of the session is already committed.
        StepUpRequiredError: the session is below the level that its account needs; nothing was
            spent or ended.
    """
    session = rotate_session(
        claims,
        grace=settings.refresh_reuse_grace,
        idle_ttl=settings.refresh_idle_ttl,
        is_mfa_required=is_mfa_required(settings, now),
        now=now,
    )
    if session is not None:
        return session
    require_within_grace(claims, grace=settings.refresh_reuse_grace, request=request, now=now)
    found = get_live_session(claims.session_id, now=now)
    if found.actor.level < found.need(settings, now):
        raise StepUpRequiredError
    return found.as_live(family_secret=claims.family_secret, is_retry=True)
