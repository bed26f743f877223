"""Access tokens that apps and machines present to this service."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from authserve.clients.configuration import ClientConfiguration
from authserve.core.errors import InvalidTokenError
from authserve.core.frozen import frozen
from authserve.core.ids import read_id
from authserve.keys.families import ES256
from authserve.settings.model import Settings
from authserve.tokens.signing import TokenKind, claimed_audience, require_form
from authserve.tokens.verified import VerifiedTokens

ACCESS = TokenKind(
    name="access",
    header_type="at+jwt",  # RFC 9068 §2.1
    claims=("client_id", "scope"),
    ids=("sid",),
)
"""Its audience and its client distinguish it from the service's own access tokens."""

_USER_CLAIMS = ("auth_time", "acr", "amr", "fresh")


def is_audience_of(client: ClientConfiguration, audience: str, *, settings: Settings) -> bool:
    """Return True if a client may have tokens for an audience: userinfo, or one of its resources.

    No client can register `JWT_AUDIENCE` as a resource, but the setting may have become one since:
    services would take an app's token for its user's own.
    """
    is_named = audience == settings.public_url or audience in client.resources
    return is_named and audience != settings.jwt_audience


@frozen(kw_only=True)
class AccessClaims:
    """The content of a verified access token.

    Args:
        client_id: the app or machine that it was issued to.
        audience: the one service that it is meant for.
        scopes: at the time of issue; the client or the user may have fewer now.
        issued_at: in whole seconds since 1970.
        session_id: of the app's session; None for a machine, which has none.
        user_id: None for a machine.
        all: every claim.
    """

    client_id: str
    audience: str
    scopes: tuple[str, ...]
    issued_at: int
    session_id: UUID | None
    user_id: UUID | None
    all: Mapping[str, Any]


def _check(claims: Mapping[str, Any]) -> None:
    """Refuse claims that describe neither a user in a session nor a machine.

    Raises:
        InvalidTokenError: the claims describe neither.
    """
    if not isinstance(claims["client_id"], str) or not isinstance(claims["scope"], str):
        raise InvalidTokenError
    if "sid" not in claims:
        is_good = claims["sub"] == claims["client_id"]
    else:
        is_good = read_id(str(claims["sub"])) is not None and set(_USER_CLAIMS) <= claims.keys()
    if not is_good:
        raise InvalidTokenError


_VERIFIED = VerifiedTokens(ACCESS, _check)


def read_access_token(
    token: str, *, audience: str, settings: Settings, now: datetime
) -> AccessClaims:
    """Verify an access token of an app or a machine for one audience.

    Raises:
        InvalidTokenError: no key of the service signed it, or it is of another kind or audience.
        TokenExpiredError: it has expired.
    """
    claims = _VERIFIED.read(token, issuer=settings.public_url, audience=audience, now=now)
    is_user = "sid" in claims
    return AccessClaims(
        client_id=claims["client_id"],
        audience=audience,
        scopes=tuple(claims["scope"].split()),
        issued_at=claims["iat"],
        session_id=UUID(claims["sid"]) if is_user else None,
        user_id=UUID(claims["sub"]) if is_user else None,
        all=claims,
    )


def read_access_token_for_any(token: str, *, settings: Settings, now: datetime) -> AccessClaims:
    """Verify an access token like `read_access_token`, for the audience that it names itself.

    Use it only where the token is the subject of the call, such as introspection, and proves
    nothing about the caller.

    Raises:
        InvalidTokenError, TokenExpiredError: see `read_access_token`.
    """
    require_form(token, ES256.algorithm, ACCESS.header_type)
    audience = claimed_audience(token)
    if audience is None or audience == settings.jwt_audience:
        raise InvalidTokenError
    return read_access_token(token, audience=audience, settings=settings, now=now)
