"""Tokens that only this service verifies: HS256, with one purpose key for each kind.

No other service verifies a refresh or a device token, so neither needs a public key. Each kind has
its own purpose key, `typ` and audience, so one kind is never accepted as another
(RFC 8725 §3.11, §3.12).

PyJWT is not used for them: it checks each character in Python, and so takes seven times as long as
the HMAC and the JSON of a refresh token (measured).
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from jwt import PyJWT
from jwt.utils import base64url_decode, base64url_encode

from authserve.core.crypto import KEYRING
from authserve.core.errors import InvalidTokenError, TokenExpiredError
from authserve.core.frozen import frozen
from authserve.core.ids import new_id

ALGORITHM = "HS256"

LEEWAY_SECS = 30
"""Accepted difference between two machines' clocks, in seconds (chosen; RFC 7519 §4.1.4 allows
"no more than a few minutes")."""

COMMON_CLAIMS = ("iss", "aud", "sub", "iat", "nbf", "exp", "jti", "type")

_TIMES = ("iat", "nbf", "exp")

_LAST_SECOND = 253_402_300_799
"""9999-12-31T23:59:59Z, the last second that `datetime` can represent."""

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_MAX_HEADER_LENGTH = 256
"""Limits the encoded header, in characters; ours take about 100."""

_BASE64URL = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


_jwt = PyJWT()
_json = json.JSONEncoder(separators=(",", ":"))


@frozen()
class TokenKind:
    """A kind of token, with the values that distinguish it from all others.

    Args:
        name: its `type` claim, the last part of its audience, and the first part of `purpose`.
        header_type: its `typ` header (RFC 8725 §3.11).
        claims: required claims in addition to `COMMON_CLAIMS`.
        ids: those claims that are ids of rows.
    """

    name: str
    header_type: str
    claims: tuple[str, ...]
    ids: tuple[str, ...] = ("sub", "sid")

    @property
    def purpose(self) -> str:
        """The name of its signing key."""
        return f"{self.name}-token"


def _audience(public_url: str, kind: TokenKind) -> str:
    """Return the `aud` claim of a kind of token: the service's URL and the kind's name."""
    return f"{public_url}/{kind.name}"


def timed_claims(
    issued_at: datetime, expires_at: datetime, *, token_id: UUID | None = None
) -> dict[str, Any]:
    """Return `iat`, `nbf`, `exp` and `jti` (RFC 7519 §4.1); times in whole seconds.

    Args:
        token_id: the `jti`; a new id if None.
    """
    issued = int(issued_at.timestamp())
    return {
        "iat": issued,
        "nbf": issued,
        "exp": int(expires_at.timestamp()),
        "jti": str(token_id or new_id()),
    }


def sign(
    kind: TokenKind,
    claims: Mapping[str, Any],
    *,
    public_url: str,
    issued_at: datetime,
    expires_at: datetime,
    token_id: UUID | None = None,
) -> str:
    """Return a signed token of `kind`.

    Args:
        claims: the claims that not every kind has, and `sub`.
        public_url: the service's URL, for the issuer and the audience.
        token_id: see `timed_claims`.
    """
    payload = {
        **claims,
        **timed_claims(issued_at, expires_at, token_id=token_id),
        "iss": public_url,
        "aud": _audience(public_url, kind),
        "type": kind.name,
    }
    header = {"alg": ALGORITHM, "typ": kind.header_type}
    content = f"{_encode(header)}.{_encode(payload)}"
    # HS256 is HMAC-SHA-256 (RFC 7518 §3.2).
    mac = KEYRING.get().mac(kind.purpose, content.encode())
    return f"{content}.{base64url_encode(mac).decode()}"


def _encode(part: Mapping[str, Any]) -> str:
    return base64url_encode(_json.encode(part).encode()).decode()


def verify(
    kind: TokenKind, token: str, *, public_url: str, now: datetime, allow_expired: bool = False
) -> dict[str, Any]:
    """Verify a token of `kind`, signed with the current secret or a fallback; return its claims.

    Args:
        public_url: the service's URL, the only accepted issuer.
        allow_expired: accept an expired token that is valid otherwise.

    Raises:
        InvalidTokenError: the token is not one of `kind`, or its signature or a claim is wrong.
        TokenExpiredError: all is valid except that the token has expired.
    """
    if require_form(token, ALGORITHM, kind.header_type) is not None:
        raise InvalidTokenError
    content, _, signature = token.rpartition(".")
    if not KEYRING.get().is_mac(kind.purpose, content.encode(), base64url_decode(signature)):
        raise InvalidTokenError
    claims = _read_claims(content.partition(".")[2])
    if not claims.keys() >= {*COMMON_CLAIMS, *kind.claims} or not isinstance(claims["jti"], str):
        raise InvalidTokenError
    if claims["iss"] != public_url or claims["aud"] != _audience(public_url, kind):
        raise InvalidTokenError
    require_claims(kind, claims)
    if max(claims["iat"], claims["nbf"]) > now.timestamp() + LEEWAY_SECS:
        raise InvalidTokenError
    if not allow_expired:
        require_unexpired(claims, now)
    return claims


def _read_claims(payload: str) -> dict[str, Any]:
    try:
        claims = json.loads(base64url_decode(payload))
    except (ValueError, RecursionError) as error:
        raise InvalidTokenError from error
    if not isinstance(claims, dict):
        raise InvalidTokenError
    return claims


def decode(
    kind: TokenKind, token: str, key: Any, *, algorithm: str, issuer: str, audience: str
) -> dict[str, Any]:
    """Verify a token with PyJWT and return its claims; `require_claims` checks the rest.

    Raises:
        PyJWTError: its signature, issuer, audience or start is wrong, or a claim is missing.
    """
    claims: dict[str, Any] = _jwt.decode(
        token,
        key,
        algorithms=[algorithm],
        audience=audience,
        issuer=issuer,
        leeway=LEEWAY_SECS,
        options={
            "require": [*COMMON_CLAIMS, *kind.claims],
            "strict_aud": True,
            # PyJWT would check `exp` before the issuer and the audience, and accept a string.
            "verify_exp": False,
        },
    )
    return claims


def require_claims(kind: TokenKind, claims: Mapping[str, Any]) -> None:
    """Check what PyJWT leaves unchecked in claims that it has accepted, but for the expiry.

    Raises:
        InvalidTokenError: another kind, or a time or an id in a form that we never write.
    """
    if claims["type"] != kind.name:
        raise InvalidTokenError
    for name in _TIMES:
        # Not `isinstance`: in Python a bool is an int.
        if type(claims[name]) is not int or claims[name] > _LAST_SECOND:
            raise InvalidTokenError
    for name in kind.ids:
        if name in claims and not _is_uuid(claims[name]):
            raise InvalidTokenError


def require_unexpired(claims: Mapping[str, Any], now: datetime) -> None:
    """Check the expiry of claims that are valid otherwise.

    Raises:
        TokenExpiredError: `exp` passed more than `LEEWAY_SECS` ago.
    """
    if claims["exp"] <= now.timestamp() - LEEWAY_SECS:
        raise TokenExpiredError


def _is_uuid(value: Any) -> bool:
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def require_form(token: str, algorithm: str, header_type: str) -> str | None:
    """Check everything in a token that needs no key, and return the `kid` of its header.

    The header must be exactly what this service writes, so `jwk`, `jku`, `x5u` (keys from
    elsewhere) and `crit` are refused. A token has one spelling: padding and unused bits, which
    decoders ignore, are refused.

    Raises:
        InvalidTokenError: the token has another form.
    """
    header, dot, rest = token.partition(".")
    payload, second_dot, signature = rest.partition(".")
    if not (dot and second_dot and header and payload and signature):
        raise InvalidTokenError
    if len(header) > _MAX_HEADER_LENGTH:
        raise InvalidTokenError
    if "." in signature or not _BASE64URL.issuperset(token):
        raise InvalidTokenError
    if not _has_one_spelling(signature):
        raise InvalidTokenError
    found = _parse_header(header)
    if found is None or found[:2] != (algorithm, header_type):
        raise InvalidTokenError
    return found[2]


def _has_one_spelling(encoded: str) -> bool:
    """Return True if base64url has the length of whole bytes, and its unused bits are 0."""
    try:
        return base64url_encode(base64url_decode(encoded)).decode() == encoded
    except ValueError:
        return False


def claimed_audience(token: str) -> str | None:
    """Return the `aud` of a token whose signature is not verified; None if it is no text.

    It serves to find the reader of a token, which verifies it.

    Args:
        token: accepted by `require_form`.
    """
    try:
        claims = json.loads(base64url_decode(token.split(".")[1]))
    except (ValueError, RecursionError):
        return None
    audience = claims.get("aud") if isinstance(claims, dict) else None
    return audience if isinstance(audience, str) else None


def _parse_header(segment: str) -> tuple[str, str, str | None] | None:
    """Return `(alg, typ, kid)` of a header; None if it has another form."""
    try:
        header = json.loads(base64url_decode(segment))
    except (ValueError, RecursionError):
        return None
    if not isinstance(header, dict):
        return None
    kid = header.pop("kid", None)
    if set(header) != {"alg", "typ"} or not isinstance(kid, str | None):
        return None
    return header["alg"], header["typ"], kid
