"""Issuing and verifying access, refresh and device tokens; no other module does.

Access tokens go through Flask-JWT-Extended and are signed with ES256, so that other services can
verify them (RFC 9068). Only this service verifies refresh and device tokens (`tokens.signing`).
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from flask_jwt_extended import create_access_token, decode_token
from jwt.exceptions import PyJWTError
from jwt.utils import base64url_decode, base64url_encode

from authserve.auth.current_session import Device, LoginResult, get_live_sign_in
from authserve.auth.queries import TokenSubject
from authserve.core.clock import now
from authserve.core.errors import InvalidTokenError, UnauthenticatedError
from authserve.core.ids import new_id
from authserve.extensions import TokenManager
from authserve.http.authentication import Authentication
from authserve.keys.rotation import ALGORITHM
from authserve.keys.store import KEY_STORE
from authserve.sessions.rotate import PresentedRefresh
from authserve.settings.model import SETTINGS
from authserve.tokens.signing import (
    LEEWAY_SECS,
    TokenKind,
    decode,
    decode_options,
    require_claims,
    require_form,
    sign,
    times,
    verify,
)

ACCESS = TokenKind(
    name="access",
    header_type="at+jwt",  # RFC 9068 §2.1
    claims=("sid", "client_id", "fresh", "roles", "email_verified", "amr", "auth_time"),
)
REFRESH = TokenKind(name="refresh", header_type="rt+jwt", claims=("sid", "gen", "fam"))

DEVICE = TokenKind(name="device", header_type="device+jwt", claims=("did", "pv"))

DEVICE_TOKEN_TTL = timedelta(days=180)
"""Lifetime of a device token (contract)."""

CLIENT_ID = "authserve"
"""The claim that RFC 9068 requires; until machine clients exist, it is the same in all tokens."""

_ACCESS_OPTIONS = decode_options(ACCESS)

_MAX_GENERATION = 2**31 - 1
"""The largest generation that the column can hold."""


@dataclass(frozen=True, slots=True)
class AccessGrant:
    """The content of an access token; Flask-JWT-Extended's callbacks read it."""

    subject: str
    kid: str
    private_key: EllipticCurvePrivateKey = field(repr=False)
    claims: dict[str, Any]


def configure(manager: TokenManager) -> None:
    """Connect Flask-JWT-Extended's callbacks to this module."""
    manager.decoder = decode_access_token
    manager.user_identity_loader(lambda grant: grant.subject)
    manager.encode_key_loader(lambda grant: grant.private_key)
    manager.additional_headers_loader(lambda grant: {"kid": grant.kid, "typ": ACCESS.header_type})
    manager.additional_claims_loader(lambda grant: grant.claims)


def require_signing_key() -> None:
    """Raise if no token can be signed; call it before a session starts or a token is spent.

    Otherwise a client that retries a refresh would present a spent token once the operator has
    restored the key.

    Raises:
        SigningKeyUnavailableError: the secret that sealed the key is missing.
    """
    KEY_STORE.get().signing_key()


def issue_pair(signed_in: LoginResult, *, fresh: bool) -> dict[str, Any]:
    """Return the contract's Tokens object for a session.

    Args:
        fresh: True if the user has just authenticated.
    """
    session, moment = signed_in.session, now()
    device = signed_in.device
    return {
        **issue_access_token(signed_in.holder, fresh=fresh),
        "refresh_token": _issue_refresh_token(signed_in),
        "refresh_expires_in": int((session.refresh_expires_at - moment).total_seconds()),
        "session_id": str(session.id),
        **({"device_token": issue_device_token(device)} if device else {}),
    }


def issue_access_token(holder: TokenSubject, *, fresh: bool) -> dict[str, Any]:
    """Return a new access token of a live session, with its type and lifetime in seconds."""
    moment, settings = now(), SETTINGS.get()
    # The token never outlives the session (contract), even after rounding.
    expires_at = min(moment + settings.access_token_ttl, holder.expires_at)
    kid, private_key = KEY_STORE.get().signing_key()
    claims: dict[str, Any] = {
        **times(moment, expires_at),
        "jti": str(new_id()),
        "sid": str(holder.session_id),
        "client_id": CLIENT_ID,
        "fresh": int((moment + settings.fresh_ttl).timestamp()) if fresh else False,
        "roles": list(holder.roles),
        "email_verified": holder.email_verified,
        "amr": list(holder.amr),
        "auth_time": int(holder.auth_time.timestamp()),
    }
    grant = AccessGrant(str(holder.user_id), kid, private_key, claims)
    return {
        "access_token": create_access_token(grant),
        "token_type": "Bearer",
        "expires_in": claims["exp"] - claims["iat"],
    }


def _issue_refresh_token(signed_in: LoginResult) -> str:
    session = signed_in.session
    return sign(
        REFRESH,
        {
            **times(now(), session.refresh_expires_at),
            "sub": str(session.user_id),
            "jti": str(new_id()),
            "sid": str(session.id),
            "gen": session.generation,
            "fam": base64url_encode(session.family_secret).decode(),
        },
    )


def issue_device_token(device: Device) -> str:
    """Return a token that makes this device known at the account's next sign-in."""
    moment = now()
    return sign(
        DEVICE,
        {
            **times(moment, moment + DEVICE_TOKEN_TTL),
            "sub": str(device.user_id),
            "jti": str(new_id()),
            "did": device.id,
            "pv": device.password_version,
        },
    )


def read_device_token(token: str | None) -> Device | None:
    """Return the device of a token; None if it is absent or not valid, which counts as absent."""
    if token is None:
        return None
    try:
        claims = verify(DEVICE, token)
        return Device(UUID(claims["sub"]), str(claims["did"]), int(claims["pv"]))
    except (UnauthenticatedError, TypeError, ValueError):
        return None


def authenticate_access_token(token: str) -> Authentication:
    """Return the current actor, account and claims of an access token.

    Raises:
        InvalidTokenError, TokenExpiredError: the token is not valid, or it or its session expired.
        SessionRevokedError: its session has ended, or its user is not active.
    """
    claims = decode_token(token)
    sign_in = get_live_sign_in(UUID(claims["sid"]))
    if str(sign_in.row.id) != claims["sub"]:
        raise InvalidTokenError
    return Authentication(sign_in.actor, sign_in.row, claims)


def decode_access_token(token: str, allow_expired: bool = False) -> dict[str, Any]:
    """Verify an access token and return its claims.

    Args:
        allow_expired: accept an expired token that is valid otherwise, as logout does.

    Raises:
        InvalidTokenError: no key of the service signed it, or it is not exactly an access token.
        TokenExpiredError: its signature is valid, but it has expired.
    """
    kid = require_form(token, ALGORITHM, ACCESS.header_type)
    key = KEY_STORE.get().find_public_key(kid) if kid else None
    if key is None:
        raise InvalidTokenError
    settings = SETTINGS.get()
    try:
        claims: dict[str, Any] = decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=settings.jwt_audience,
            issuer=settings.public_url,
            leeway=LEEWAY_SECS,
            options=_ACCESS_OPTIONS,
        )
    except PyJWTError as error:
        raise InvalidTokenError from error
    is_fresh_known = claims["fresh"] is False or type(claims["fresh"]) is int
    if claims["client_id"] != CLIENT_ID or not is_fresh_known:
        raise InvalidTokenError
    require_claims(ACCESS, claims, allow_expired=allow_expired)
    return claims


def read_refresh_token(token: str) -> PresentedRefresh:
    """Verify a refresh token and return its content.

    Raises:
        InvalidTokenError: it is not valid, or of another kind.
        TokenExpiredError: it has expired.
    """
    return _presented(verify(REFRESH, token))


def _presented(claims: dict[str, Any]) -> PresentedRefresh:
    generation, family = claims["gen"], claims["fam"]
    if type(generation) is not int or not 0 <= generation <= _MAX_GENERATION:
        raise InvalidTokenError
    try:
        family_secret = base64url_decode(family)
    except (TypeError, ValueError) as error:
        raise InvalidTokenError from error
    return PresentedRefresh(
        session_id=UUID(claims["sid"]),
        user_id=UUID(claims["sub"]),
        generation=generation,
        family_secret=family_secret,
    )


@dataclass(frozen=True, slots=True)
class SessionToken:
    """The session and user of an access or refresh token.

    Args:
        family_secret: from a refresh token; None for an access token.
    """

    session_id: UUID
    user_id: UUID
    family_secret: bytes | None = field(default=None, repr=False)


def read_session_token(token: str) -> SessionToken:
    """Return the session of a refresh token, or of an access token that may have expired.

    Raises:
        InvalidTokenError: it is neither.
        TokenExpiredError: it is a refresh token that has expired.
    """
    try:
        presented = read_refresh_token(token)
    except InvalidTokenError:
        claims = decode_access_token(token, allow_expired=True)
        return SessionToken(UUID(claims["sid"]), UUID(claims["sub"]))
    return SessionToken(presented.session_id, presented.user_id, presented.family_secret)


def introspect(token: str) -> dict[str, Any]:
    """Return the facts about an access token that another service may know (RFC 7662 §2.2).

    Returns:
        `{"active": False}` and nothing else if it is not a valid access token of a live session.
    """
    try:
        authentication = authenticate_access_token(token)
    except UnauthenticatedError:
        return {"active": False}
    claims, account = authentication.claims, authentication.account
    names = ("sub", "sid", "client_id", "exp", "iat", "iss", "aud")
    return {
        "active": True,
        **{name: claims[name] for name in names},
        "token_type": "Bearer",
        # RFC 7662 §2.2: a name for people. Accounts without a username show the address.
        "username": account.username or account.email,
    }
