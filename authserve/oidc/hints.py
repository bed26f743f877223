"""Verification of `id_token_hint`, the ID token by which an app names its user.

A hint opens nothing. It proves that this service once signed that user in to that app, so it may
have expired, and its key may be retired (OpenID Connect Core §3.1.2.1, RP-Initiated Logout §2). A
key that was ended in an emergency is refused: an attacker may have signed with it.
"""

from typing import Any
from uuid import UUID

from jwt import PyJWT
from jwt.exceptions import PyJWTError

from authserve.core.errors import InvalidTokenError
from authserve.core.frozen import frozen
from authserve.core.ids import read_id
from authserve.keys.families import FAMILIES, KeyFamily
from authserve.keys.statements import find_trusted_key
from authserve.tokens.signing import LEEWAY_SECS, require_form

ID_TOKEN_TYPE = "JWT"
"""The `typ` of ID tokens; no other token of this service has it (RFC 8725 §3.11)."""

MAX_HINT_LENGTH = 3_500
"""Limits a hint, in characters: longer ones fit no request line (`gunicorn.conf.py`)."""

_REQUIRED = ("iss", "aud", "sub", "sid", "iat", "exp")

_jwt = PyJWT()


@frozen(kw_only=True)
class Hint:
    """The content of a verified hint.

    Args:
        client_id: the app that got it.
        session_id: of the app's session, which may have ended.
    """

    client_id: str
    user_id: UUID
    session_id: UUID


def read_hint(token: str, *, issuer: str) -> Hint | None:
    """Verify an ID token that may have expired; return None if it is not one of this service.

    Args:
        token: as an app sent it, or a stranger.
        issuer: the issuer of this service.
    """
    if len(token) > MAX_HINT_LENGTH:
        return None
    try:
        claims = _verify(token, issuer)
    except PyJWTError:
        return None
    client_id, user_id, session_id = claims.get("aud"), claims.get("sub"), claims.get("sid")
    if not all(isinstance(value, str) for value in (client_id, user_id, session_id)):
        return None
    user, session = read_id(str(user_id)), read_id(str(session_id))
    if user is None or session is None:
        return None
    return Hint(client_id=str(client_id), user_id=user, session_id=session)


def _verify(token: str, issuer: str) -> dict[str, Any]:
    """Return the claims by the key of the family whose algorithm the token has, or no claims."""
    for family in FAMILIES:
        try:
            kid = require_form(token, family.algorithm, ID_TOKEN_TYPE)
        except InvalidTokenError:
            continue
        key = find_trusted_key(kid, family=family) if kid else None
        return _decode(token, key, issuer, family) if key is not None else {}
    return {}


def _decode(token: str, key: Any, issuer: str, family: KeyFamily) -> dict[str, Any]:
    claims: dict[str, Any] = _jwt.decode(
        token,
        key,
        algorithms=[family.algorithm],
        issuer=issuer,
        leeway=LEEWAY_SECS,
        # The audience is the app, which the caller learns from it.
        options={"require": list(_REQUIRED), "verify_aud": False, "verify_exp": False},
    )
    return claims
