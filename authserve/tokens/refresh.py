"""Refresh tokens: each names a session's generation and carries the session's family secret."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, NotRequired
from uuid import UUID

from jwt.utils import base64url_decode, base64url_encode

from authserve.core.errors import InvalidTokenError
from authserve.core.frozen import frozen
from authserve.keys.store import SigningKey
from authserve.settings.model import Settings
from authserve.tokens.access import AccessToken, LiveSession, issue_access_token
from authserve.tokens.device import Device, issue_device_token
from authserve.tokens.signing import TokenKind, sign, verify

REFRESH = TokenKind(name="refresh", header_type="rt+jwt", claims=("sid", "gen", "fam"))

_MAX_GENERATION = 2**31 - 1
"""The largest generation that the column can hold."""


@frozen(kw_only=True)
class RefreshClaims:
    """The content of a refresh token.

    Args:
        generation: number of rotations of the session before the token was issued.
        family_secret: random bytes of the session, of which its row holds a digest.
    """

    session_id: UUID
    user_id: UUID
    generation: int
    family_secret: bytes = field(repr=False)


class Tokens(AccessToken):
    """The contract's Tokens object; `refresh_expires_in` is in seconds, `mfa_enroll_by` a time."""

    refresh_token: str
    refresh_expires_in: int
    session_id: str
    device_token: NotRequired[str]
    recovery_codes: NotRequired[list[str]]
    recovery_codes_left: NotRequired[int]
    mfa_enroll_by: NotRequired[str]


def issue_tokens(
    session: LiveSession,
    *,
    key: SigningKey,
    fresh: bool,
    settings: Settings,
    now: datetime,
    device: Device | None = None,
) -> Tokens:
    """Return a pair of tokens of a session.

    Args:
        session: with its family secret.
        key, fresh: see `issue_access_token`.
        settings: for the lifetimes and the issuer.
        now: the time of issue.
        device: becomes known to the account by a device token; None after a refresh.
    """
    access = issue_access_token(session, key=key, fresh=fresh, settings=settings, now=now)
    tokens: Tokens = {
        "access_token": access["access_token"],
        "token_type": access["token_type"],
        "expires_in": access["expires_in"],
        "refresh_token": _issue_refresh_token(session, settings.public_url, now),
        "refresh_expires_in": int((session.ends_at - now).total_seconds()),
        "session_id": str(session.id),
    }
    if device is not None:
        tokens["device_token"] = issue_device_token(device, public_url=settings.public_url, now=now)
    return tokens


def _issue_refresh_token(session: LiveSession, public_url: str, now: datetime) -> str:
    if session.family_secret is None:
        raise LookupError("the session was read without its family secret")
    claims = {
        "sub": str(session.user_id),
        "sid": str(session.id),
        "gen": session.generation,
        "fam": base64url_encode(session.family_secret).decode(),
    }
    return sign(REFRESH, claims, public_url=public_url, issued_at=now, expires_at=session.ends_at)


def read_refresh_token(token: str, *, public_url: str, now: datetime) -> RefreshClaims:
    """Verify a refresh token and return its content.

    Raises:
        InvalidTokenError: it is not valid, or of another kind.
        TokenExpiredError: it has expired.
    """
    return read_claims(verify(REFRESH, token, public_url=public_url, now=now))


def read_claims(claims: Mapping[str, Any]) -> RefreshClaims:
    """Return the content of a verified refresh token, of this kind or an app's.

    Raises:
        InvalidTokenError: a value has another form.
    """
    return RefreshClaims(
        session_id=UUID(claims["sid"]),
        user_id=UUID(claims["sub"]),
        generation=_generation(claims["gen"]),
        family_secret=_family_secret(claims["fam"]),
    )


def _generation(value: Any) -> int:
    # Not `isinstance`: in Python a bool is an int.
    if type(value) is not int or not 0 <= value <= _MAX_GENERATION:
        raise InvalidTokenError
    return value


def _family_secret(value: Any) -> bytes:
    try:
        return base64url_decode(value)
    except (TypeError, ValueError) as error:
        raise InvalidTokenError from error
