"""Authentication of apps and machines at this service's own API, by OAuth access tokens.

A call sends one statement, like a call with a user's own token. The row of the session or of the
machine limits the token, so an ended session or a lost role counts at the next call.
"""

from dataclasses import replace
from datetime import datetime

from authserve.clients.authentication import find_machine
from authserve.clients.configuration import ClientConfiguration
from authserve.core.actor import Actor
from authserve.core.clock import now
from authserve.core.errors import InvalidTokenError, SessionRevokedError, StepUpRequiredError
from authserve.http.callers import Authentication, CallerKind
from authserve.oidc.access_tokens import AccessClaims, is_audience_of, read_access_token
from authserve.oidc.grants import is_usable, narrow_scopes
from authserve.oidc.queries import FoundGrant, find_grant
from authserve.settings.model import SETTINGS, Settings


def authenticate_client_token(token: str) -> Authentication:
    """Return the app or machine that an OAuth access token for this service's API identifies.

    Raises:
        InvalidTokenError, TokenExpiredError: the token is not valid here, or it has expired.
        SessionRevokedError: the app's session has ended or may no longer be used; or the machine
            was disabled, revoked or deleted, or has no secret left.
        StepUpRequiredError: the app's session is below what its account or its client needs.
    """
    settings, moment = SETTINGS.get(), now()
    claims = read_access_token(token, audience=settings.api_audience, settings=settings, now=moment)
    if claims.session_id is None:
        return _authenticate_machine(claims, settings, moment)
    return _authenticate_app(claims, settings, moment)


def find_own_grant(claims: AccessClaims, now: datetime) -> FoundGrant:
    """Return the grant of an app's token, live or not.

    Raises:
        SessionRevokedError: the token names no grant.
        InvalidTokenError: the grant belongs to another user or client.
    """
    grant = find_grant(claims.session_id, now=now) if claims.session_id is not None else None
    if grant is None:
        raise SessionRevokedError
    if grant.row.id != claims.user_id or grant.client.client_id != claims.client_id:
        raise InvalidTokenError
    return grant


def _authenticate_app(claims: AccessClaims, settings: Settings, now: datetime) -> Authentication:
    grant = find_own_grant(claims, now)
    scopes = find_usable_scopes(claims, grant, settings, now)
    permissions = frozenset(scope for scope in scopes if ":" in scope)
    # An administrator's app has the scopes that were granted, and never everything.
    actor = replace(
        grant.found.actor,
        permissions=permissions,
        holds_everything=False,
        sleeping_permissions=frozenset(),
        is_sleeping_admin=False,
    )
    return Authentication(
        actor=actor,
        found_account=grant.found.account,
        kind=CallerKind.APP,
        claims=claims.all,
        scopes=scopes - permissions,
    )


def find_usable_scopes(
    claims: AccessClaims, grant: FoundGrant, settings: Settings, now: datetime
) -> frozenset[str]:
    """Return the scopes of an app's token that its client and its user still have.

    Raises:
        SessionRevokedError: the grant may no longer be used.
        InvalidTokenError: its client may not have tokens for this audience any more.
        StepUpRequiredError: its session is below what its account or its client needs.
    """
    _require_audience(claims, grant.client.configuration, settings)
    if not grant.is_live(now):
        raise SessionRevokedError
    if not grant.has_level(settings, now):
        raise StepUpRequiredError(level=grant.need(settings, now))
    if not is_usable(grant, settings=settings, now=now):
        raise SessionRevokedError
    return frozenset(claims.scopes).intersection(narrow_scopes(grant))


def _require_audience(
    claims: AccessClaims, client: ClientConfiguration, settings: Settings
) -> None:
    if not is_audience_of(client, claims.audience, settings=settings):
        raise InvalidTokenError


def _authenticate_machine(
    claims: AccessClaims, settings: Settings, now: datetime
) -> Authentication:
    scopes = find_machine_scopes(claims, settings, now)
    return Authentication(
        actor=Actor(client_id=claims.client_id, permissions=scopes),
        found_account=None,
        kind=CallerKind.MACHINE,
        claims=claims.all,
    )


def find_machine_scopes(claims: AccessClaims, settings: Settings, now: datetime) -> frozenset[str]:
    """Return the scopes of a machine's token that the machine still has.

    Raises:
        SessionRevokedError: it was disabled, revoked or deleted, or has no secret left.
        InvalidTokenError: it may not have tokens for this audience any more.
    """
    client = find_machine(claims.client_id, now=now)
    if client is None:
        raise SessionRevokedError
    _require_audience(claims, client.configuration, settings)
    valid_from = client.tokens_valid_from
    if valid_from is not None and claims.issued_at <= valid_from.timestamp():
        raise SessionRevokedError
    return frozenset(claims.scopes).intersection(client.configuration.scopes)
