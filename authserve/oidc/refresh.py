"""The refresh of an app's grant: rotation, grace and reuse are those of all sessions."""

from datetime import datetime, timedelta

from authserve.auth.browser_sessions import record_use
from authserve.auth.session_writes import rotate_session
from authserve.clients.authentication import ClientCredentials, find_authenticated_client
from authserve.core.actor import RequestInfo
from authserve.core.clock import now
from authserve.core.errors import UnauthenticatedError
from authserve.core.frozen import frozen
from authserve.mfa.assurance import is_mfa_required
from authserve.oidc.errors import OAuthCode, OAuthError, invalid_client, invalid_grant
from authserve.oidc.grants import choose_audience, narrow_scopes, require_usable
from authserve.oidc.queries import FoundGrant, find_grant, find_grant_of
from authserve.oidc.tokens import (
    Issue,
    TokenAnswer,
    get_token_keys,
    issue_tokens,
    read_refresh_token,
)
from authserve.sessions.renew import require_within_grace
from authserve.settings.model import SETTINGS, Settings
from authserve.tokens.refresh import RefreshClaims


def refresh_grant(
    token: str,
    *,
    credentials: ClientCredentials,
    scope: str | None,
    resource: str | None,
    request: RequestInfo,
) -> TokenAnswer:
    """Exchange an app's refresh token for the next tokens.

    Args:
        token: as presented.
        credentials: of the client.
        scope: narrows this access token alone; None for all that is granted.
        resource: see `codes.choose_audience`.
        request: for the audit event of a reuse.

    Raises:
        OAuthError: `invalid_client`; `invalid_grant`; `invalid_scope` or `invalid_target`, and
            then nothing is spent.
        SigningKeyUnavailableError: no token could be signed; nothing was spent.
    """
    settings, moment = SETTINGS.get(), now()
    claims = _read(token, credentials, settings, moment)
    grant = _find_own(claims, credentials, moment)
    keys = get_token_keys(grant.client.configuration)
    require_usable(grant, settings=settings, now=moment)
    scopes = _choose_scopes(grant, scope)
    audience = choose_audience(
        grant.resource, resource, client=grant.client.configuration, settings=settings
    )
    rotated = _rotate(claims, grant, settings, request, moment)
    _touch_parent(grant, moment)
    issue = Issue(
        grant=grant,
        scopes=scopes,
        family_secret=claims.family_secret,
        generation=rotated.generation,
        ends_at=rotated.ends_at,
        audience=audience,
    )
    return issue_tokens(issue, keys=keys, settings=settings, now=moment)


def _read(
    token: str, credentials: ClientCredentials, settings: Settings, now: datetime
) -> RefreshClaims:
    """Return the content of a token of the client that presents it."""
    try:
        claims, client_id = read_refresh_token(token, public_url=settings.public_url, now=now)
    except UnauthenticatedError as error:
        raise _refusal(credentials, now) from error
    if client_id != credentials.client_id:
        raise _refusal(credentials, now)
    return claims


def _refusal(credentials: ClientCredentials, now: datetime) -> OAuthError:
    """Return `invalid_grant` for an authenticated client; for others `invalid_client`.

    So a client that does not authenticate learns nothing about the token.
    """
    client = find_authenticated_client(credentials, now=now)
    return invalid_grant() if client is not None else invalid_client()


def _find_own(claims: RefreshClaims, credentials: ClientCredentials, now: datetime) -> FoundGrant:
    found = find_grant_of(claims.session_id, credentials, now=now)
    if found is None:
        raise _refusal(credentials, now)
    grant, client = found
    if client is None:
        raise invalid_client()
    return grant


def _choose_scopes(grant: FoundGrant, asked: str | None) -> tuple[str, ...]:
    """Return the scopes of the next access token (RFC 6749 §6).

    Raises:
        OAuthError: `invalid_scope`: wider than the grant, or nothing is left of what was asked.
    """
    allowed = narrow_scopes(grant)
    if asked is None:
        return allowed
    wanted = set(asked.split(" "))
    chosen = tuple(scope for scope in allowed if scope in wanted)
    if not wanted.issubset(grant.scopes) or not chosen:
        raise OAuthError(OAuthCode.INVALID_SCOPE, "The scope is wider than the grant.")
    return chosen


@frozen()
class _Rotated:
    generation: int
    ends_at: datetime


def _rotate(
    claims: RefreshClaims,
    grant: FoundGrant,
    settings: Settings,
    request: RequestInfo,
    now: datetime,
) -> _Rotated:
    """Spend the token; see `auth.refresh.continue_session`.

    Raises:
        OAuthError: `invalid_grant`; the end of a session whose token was reused is committed.
    """
    configuration = grant.client.configuration
    own_grace = configuration.refresh_grace
    grace = settings.refresh_reuse_grace if own_grace is None else timedelta(seconds=own_grace)
    try:
        session = rotate_session(
            claims,
            grace=grace,
            idle_ttl=configuration.lifetimes.idle,
            is_mfa_required=is_mfa_required(settings, now),
            now=now,
        )
        if session is not None:
            return _Rotated(session.generation, session.ends_at)
        require_within_grace(claims, grace=grace, request=request, now=now)
    except UnauthenticatedError as error:
        raise invalid_grant() from error
    current = find_grant(claims.session_id, now=now)
    if current is None:
        raise invalid_grant()
    require_usable(current, settings=settings, now=now)
    row = current.row
    return _Rotated(row.generation, min(row.expires_at, row.idle_expires_at))


def _touch_parent(grant: FoundGrant, now: datetime) -> None:
    """Record that the browser's session is in use, if the grant needs that one."""
    row = grant.row
    if not row.is_offline:
        record_use(
            row.parent_id,
            last_used_at=row.parent_last_used_at,
            expires_at=row.parent_expires_at,
            is_remembered=row.parent_is_remembered,
            now=now,
        )
