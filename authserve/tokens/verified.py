"""Access tokens that this process has verified lately.

Verifying a signature takes longer than all that a token check does besides but its statement
(measured), and a client sends the same token again and again.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from jwt.exceptions import PyJWTError

from authserve.core.crypto import digest
from authserve.core.errors import InvalidTokenError
from authserve.core.frozen import frozen
from authserve.keys.families import ES256
from authserve.keys.store import KEY_STORE
from authserve.tokens.signing import (
    TokenKind,
    claimed_audience,
    decode,
    require_claims,
    require_form,
    require_unexpired,
)

MAX_VERIFIED = 1_024
"""Limits the tokens of one kind whose claims a process keeps, some 2 KB each (measured)."""

Claims = Mapping[str, Any]


@frozen()
class _Verified:
    kid: str
    claims: Claims


class VerifiedTokens:
    """The claims of the access tokens of one kind that were verified last. Safe for threads.

    Args:
        kind: signed with ES256.
        check: raises `InvalidTokenError` for claims that tokens of this kind never have.
    """

    def __init__(self, kind: TokenKind, check: Callable[[Claims], None]) -> None:
        self._kind = kind
        self._check = check
        # By a digest: the process keeps no token that could leak.
        self._verified: dict[bytes, _Verified] = {}

    def read(
        self,
        token: str,
        *,
        issuer: str,
        audience: str,
        now: datetime,
        allow_expired: bool = False,
    ) -> Claims:
        """Verify a token and return its claims.

        A token that this process has verified lately is not verified again, but its key must still
        be in use, and its expiry is checked each time.

        Args:
            issuer, audience: the only accepted ones.
            allow_expired: accept an expired token that is valid otherwise.

        Raises:
            InvalidTokenError: no key of the service signed it, or it is not exactly of this kind.
            TokenExpiredError: its signature is valid, but it has expired.
        """
        place = digest(f"{issuer} {audience} {token}".encode("utf-8", "surrogatepass"))
        found = self._verified.get(place)
        if found is None:
            found = self._verify(token, issuer, audience, now)
            self._remember(place, found)
        if KEY_STORE.get().find_public_key(found.kid, now=now) is None:
            raise InvalidTokenError
        if not allow_expired:
            require_unexpired(found.claims, now)
        return found.claims

    def _remember(self, place: bytes, verified: _Verified) -> None:
        self._verified[place] = verified
        while len(self._verified) > MAX_VERIFIED:
            # Another thread may have removed the oldest one first.
            self._verified.pop(next(iter(self._verified.copy())), None)

    def _verify(self, token: str, issuer: str, audience: str, now: datetime) -> _Verified:
        kid = require_form(token, ES256.algorithm, self._kind.header_type)
        # Spares the signature of a token that is meant for another service.
        is_addressed = claimed_audience(token) == audience
        if kid is None or not is_addressed:
            raise InvalidTokenError
        key = KEY_STORE.get().find_public_key(kid, now=now)
        if key is None:
            raise InvalidTokenError
        try:
            claims = decode(
                self._kind, token, key, algorithm=ES256.algorithm, issuer=issuer, audience=audience
            )
        except PyJWTError as error:
            raise InvalidTokenError from error
        self._check(claims)
        require_claims(self._kind, claims)
        return _Verified(kid, claims)
