"""Access tokens: carried by Flask-JWT-Extended, and signed so that other services can verify them.

They are signed with ES256 (RFC 9068). Only this service verifies refresh and device tokens, which
are signed in `signing.py`.
"""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, Literal, TypedDict
from uuid import UUID

from flask_jwt_extended import JWTManager, create_access_token

from authserve.core.clock import now
from authserve.core.errors import InvalidTokenError
from authserve.core.frozen import frozen
from authserve.core.levels import Level
from authserve.keys.families import PrivateKey
from authserve.keys.store import SigningKey
from authserve.settings.model import SETTINGS, Settings
from authserve.tokens.signing import TokenKind, timed_claims
from authserve.tokens.verified import VerifiedTokens

ACCESS = TokenKind(
    name="access",
    header_type="at+jwt",  # RFC 9068 §2.1
    claims=("sid", "client_id", "fresh", "roles", "email_verified", "amr", "auth_time"),
)

CLIENT_ID = "authserve"
"""The claim that RFC 9068 requires, in tokens of the service itself; no client can have the id."""


class TokenManager(JWTManager):
    """Flask-JWT-Extended with only its decoding replaced.

    The library parses a token four times and accepts one without `exp` or `type`. Its decoding
    hook is overridden, so `flask_jwt_extended.decode_token` and `jwt_required` use
    `decode_access_token`, which parses once, with a prepared key, and requires every claim. The
    hook is private: the version is pinned, and a test fails if the hook moves.
    """

    def _decode_jwt_from_config(
        self, encoded_token: str, csrf_value: Any = None, allow_expired: bool = False
    ) -> dict[str, Any]:
        claims = decode_access_token(
            encoded_token, settings=SETTINGS.get(), now=now(), allow_expired=allow_expired
        )
        return dict(claims)


jwt = TokenManager()
jwt.user_identity_loader(lambda grant: grant.subject)
jwt.encode_key_loader(lambda grant: grant.private_key)


@frozen()
class _Grant:
    """The identity that Flask-JWT-Extended's callbacks receive."""

    subject: str
    private_key: PrivateKey = field(repr=False)


@frozen(kw_only=True)
class LiveSession:
    """A live session with the current state of its user; its tokens are issued from it.

    Args:
        generation: number of rotations.
        ends_at: the nearer of its absolute and its idle limit; no token outlives it.
        level: how sure its sign-in is; the claim `acr`.
        amr: authentication methods (RFC 8176), for example `("pwd",)`.
        auth_time: time of the last authentication.
        roles: names of the user's roles that have effect in it, sorted.
        family_secret: carried by every refresh token of the session. The database has only its
            digest, so it is None if no refresh token was presented.
        is_retry: True if a refresh rotated nothing, within the grace of an earlier one.
    """

    id: UUID
    user_id: UUID
    generation: int
    ends_at: datetime
    level: Level
    amr: tuple[str, ...]
    auth_time: datetime
    email_verified: bool
    roles: tuple[str, ...]
    family_secret: bytes | None = field(default=None, repr=False)
    is_retry: bool = False


class AccessToken(TypedDict):
    """The contract's fields of an access token; `expires_in` is in seconds."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int


def issue_access_token(
    session: LiveSession, *, key: SigningKey, fresh: bool, settings: Settings, now: datetime
) -> AccessToken:
    """Return a new access token of a session.

    Args:
        key: from `KeyStore.signing_key`, called before anything was changed or spent for the
            token. Otherwise a client that retries a refresh would present a spent token once the
            operator has restored the key.
        fresh: True if the user has just authenticated.
    """
    # The token never outlives the session (contract), even after rounding.
    claims: dict[str, Any] = {
        **timed_claims(now, min(now + settings.access_token_ttl, session.ends_at)),
        "sid": str(session.id),
        "client_id": CLIENT_ID,
        "fresh": int((now + settings.fresh_ttl).timestamp()) if fresh else False,
        "roles": session.roles,
        "email_verified": session.email_verified,
        "acr": session.level.acr,
        "amr": session.amr,
        "auth_time": int(session.auth_time.timestamp()),
    }
    token = create_access_token(
        _Grant(str(session.user_id), key.private_key),
        additional_claims=claims,
        additional_headers={"kid": key.kid, "typ": ACCESS.header_type},
    )
    return {
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": claims["exp"] - claims["iat"],
    }


def _check(claims: Mapping[str, Any]) -> None:
    is_fresh_known = claims["fresh"] is False or type(claims["fresh"]) is int
    if claims["client_id"] != CLIENT_ID or not is_fresh_known:
        raise InvalidTokenError


_VERIFIED = VerifiedTokens(ACCESS, _check)


def decode_access_token(
    token: str, *, settings: Settings, now: datetime, allow_expired: bool = False
) -> Mapping[str, Any]:
    """Verify an access token and return its claims; see `VerifiedTokens.read`.

    Args:
        settings: for the issuer and the audience.
        allow_expired: accept an expired token that is valid otherwise, as logout does.

    Raises:
        InvalidTokenError: no key of the service signed it, or it is not exactly an access token.
        TokenExpiredError: its signature is valid, but it has expired.
    """
    return _VERIFIED.read(
        token,
        issuer=settings.public_url,
        audience=settings.jwt_audience,
        now=now,
        allow_expired=allow_expired,
    )
