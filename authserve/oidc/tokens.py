"""Tokens of apps: access tokens and ID tokens that others verify, and refresh tokens."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any, NotRequired, TypedDict

from jwt import PyJWT

from authserve.clients.claims import ClaimPlace
from authserve.clients.configuration import ClientConfiguration
from authserve.core.base64url import encode_base64url
from authserve.core.crypto import digest
from authserve.core.frozen import frozen
from authserve.core.levels import Level
from authserve.keys.families import RS256
from authserve.keys.store import APP_KEY_STORE, KEY_STORE, SigningKey
from authserve.oidc.access_tokens import ACCESS
from authserve.oidc.claims import make_claims
from authserve.oidc.hints import ID_TOKEN_TYPE
from authserve.oidc.queries import FoundGrant
from authserve.settings.model import Settings
from authserve.tokens.refresh import RefreshClaims, read_claims
from authserve.tokens.signing import (
    TokenKind,
    sign,
    timed_claims,
    verify,
)

REFRESH = TokenKind(
    name="client-refresh", header_type="crt+jwt", claims=("sid", "gen", "fam", "cid")
)
"""Apps' refresh tokens. The service's own have another purpose key, so neither kind passes for the
other."""

ID_TOKEN_TTL = timedelta(minutes=10)
"""Lifetime of an ID token, which an app reads once (design)."""

_jwt = PyJWT()


class TokenAnswer(TypedDict):
    """An answer of the token endpoint (RFC 6749 §5.1, OpenID Connect Core §3.1.3.3)."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str
    refresh_token: NotRequired[str]
    id_token: NotRequired[str]


@frozen(kw_only=True)
class Issue:
    """The input for the tokens of one response.

    Args:
        grant: live.
        scopes: of the access token.
        family_secret: of the grant's refresh tokens.
        generation: of the next refresh token.
        ends_at: the earlier of the grant's two limits; no token outlives it.
        nonce: of the request; None after a refresh.
        is_new: True at the exchange of a code, False at a refresh.
        audience: of the access token.
    """

    grant: FoundGrant
    scopes: tuple[str, ...]
    family_secret: bytes = field(repr=False)
    generation: int
    ends_at: datetime
    audience: str
    nonce: str | None = None
    is_new: bool = False


@frozen()
class TokenKeys:
    """The keys that sign the tokens of one response.

    Args:
        access: of access tokens, always for ES256.
        identity: of ID tokens, for the client's own algorithm.
    """

    access: SigningKey
    identity: SigningKey


def get_token_keys(client: ClientConfiguration) -> TokenKeys:
    """Return the keys for a client's tokens.

    Raises:
        SigningKeyUnavailableError: one of them cannot sign.
    """
    return TokenKeys(KEY_STORE.get().signing_key(), get_identity_key(client))


def get_identity_key(client: ClientConfiguration) -> SigningKey:
    """Return the key for a client's ID tokens and logout tokens.

    Raises:
        SigningKeyUnavailableError: it cannot sign.
    """
    store = APP_KEY_STORE if client.signing_alg == RS256.algorithm else KEY_STORE
    return store.get().signing_key()


def issue_tokens(
    issue: Issue, *, keys: TokenKeys, settings: Settings, now: datetime
) -> TokenAnswer:
    """Return the answer with the tokens of a grant.

    Args:
        keys: read before anything was spent.
        settings: for the issuer and lifetimes.
        now: the time of issue.
    """
    access_token, expires_in = _issue_access_token(issue, keys.access, settings, now)
    answer: TokenAnswer = {
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": expires_in,
        "scope": " ".join(issue.scopes),
        "refresh_token": _issue_refresh_token(issue, settings, now),
    }
    if "openid" in issue.scopes:
        answer["id_token"] = _issue_id_token(issue, access_token, keys.identity, settings, now)
    return answer


def _authentication_claims(issue: Issue) -> dict[str, Any]:
    row = issue.grant.row
    return {
        "sid": str(row.session_id),
        "auth_time": int(row.auth_time.timestamp()),
        "amr": list(row.amr),
        "acr": Level(row.aal).acr,
    }


def _issue_access_token(
    issue: Issue, key: SigningKey, settings: Settings, now: datetime
) -> tuple[str, int]:
    client, row = issue.grant.client, issue.grant.row
    fresh_until = row.auth_time + settings.fresh_ttl
    times = timed_claims(now, min(now + client.configuration.access_ttl, issue.ends_at))
    claims = {
        **make_claims(issue.grant, issue.scopes, ClaimPlace.ACCESS_TOKEN),
        **times,
        **_authentication_claims(issue),
        "iss": settings.public_url,
        "aud": issue.audience,
        "sub": str(row.id),
        "client_id": client.client_id,
        "scope": " ".join(issue.scopes),
        "type": ACCESS.name,
        "fresh": int(fresh_until.timestamp()) if issue.is_new else False,
    }
    return sign_for_others(claims, key, ACCESS.header_type), times["exp"] - times["iat"]


def _issue_id_token(
    issue: Issue, access_token: str, key: SigningKey, settings: Settings, now: datetime
) -> str:
    row = issue.grant.row
    claims = {
        **make_claims(issue.grant, issue.scopes, ClaimPlace.ID_TOKEN),
        **_authentication_claims(issue),
        "iss": settings.public_url,
        "sub": str(row.id),
        "aud": issue.grant.client.client_id,
        "iat": int(now.timestamp()),
        "exp": int((now + ID_TOKEN_TTL).timestamp()),
        "at_hash": _half_hash(access_token),
    }
    if issue.nonce is not None:
        claims["nonce"] = issue.nonce
    return sign_for_others(claims, key, ID_TOKEN_TYPE)


def _half_hash(token: str) -> str:
    """Return the left half of a token's SHA-256 (OpenID Connect Core §3.1.3.6)."""
    return encode_base64url(digest(token.encode("ascii"))[:16])


def sign_for_others(claims: Mapping[str, Any], key: SigningKey, header_type: str) -> str:
    """Return a token that services and apps verify with the public keys."""
    headers = {"kid": key.kid, "typ": header_type}
    return _jwt.encode(dict(claims), key.private_key, key.algorithm, headers=headers)


def _issue_refresh_token(issue: Issue, settings: Settings, now: datetime) -> str:
    claims = {
        "sub": str(issue.grant.row.id),
        "sid": str(issue.grant.row.session_id),
        "gen": issue.generation,
        "fam": encode_base64url(issue.family_secret),
        "cid": issue.grant.client.client_id,
    }
    return sign(
        REFRESH,
        claims,
        public_url=settings.public_url,
        issued_at=now,
        expires_at=issue.ends_at,
    )


def read_refresh_token(token: str, *, public_url: str, now: datetime) -> tuple[RefreshClaims, str]:
    """Verify an app's refresh token; return its content and the client that it belongs to.

    Raises:
        InvalidTokenError: it is not valid, or of another kind.
        TokenExpiredError: it has expired.
    """
    claims = verify(REFRESH, token, public_url=public_url, now=now)
    return read_claims(claims), str(claims["cid"])
