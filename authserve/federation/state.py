"""The state of a sign-in that is on its way to a provider and back: a signed token in the URL.

It is bound to one browser by a secret in a cookie, from which the verifier of PKCE and the nonce
follow too. So nothing is stored, and an answer that another browser got opens nothing in this one
(RFC 9700 §2.1, §4.7).
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from authserve.core.base64url import encode_base64url
from authserve.core.crypto import KEYRING, digest, is_equal
from authserve.core.errors import UnauthenticatedError
from authserve.core.frozen import frozen
from authserve.federation.errors import UnknownStateError
from authserve.settings.model import SETTINGS
from authserve.tokens.signing import TokenKind, sign, verify

STATE = TokenKind(
    name="provider-state",
    header_type="provider-state+jwt",
    claims=("provider", "flow", "purpose", "binding"),
)

STATE_TTL = timedelta(minutes=10)
"""Lifetime of a state: time for a person to sign in at the provider (design)."""

SECRET_BYTES = 32
"""Length of the secret in the browser's cookie: 256 bits (design)."""

VERIFIER, NONCE = "provider-verifier", "provider-nonce"
"""Names of the keys by which both follow from the secret."""

_NIL_SUBJECT = str(UUID(int=0))
"""`sub` of every state, since no user is known yet (RFC 9562 §5.9)."""


class Purpose(StrEnum):
    """The reason for which a person goes to a provider."""

    SIGN_IN = "sign-in"
    LINK = "link"


@frozen(kw_only=True)
class State:
    """The content of a state.

    Args:
        provider: its slug.
        flow_id: names the cookie that holds the secret.
        binding: to that secret, and to the provider's issuer; see `bind`.
        session_id: of the signed-in person who asked for a link; None at a sign-in.
        language: that the pages were asked for in; empty if no page was.
    """

    provider: str
    flow_id: str
    purpose: Purpose
    binding: str
    session_id: UUID | None = None
    language: str = ""

    def is_bound_to(self, secret: bytes, issuer: str) -> bool:
        """Return True if the sign-in began with this secret, at this issuer."""
        return is_equal(self.binding.encode(), bind(secret, issuer).encode())


def bind(secret: bytes, issuer: str) -> str:
    """Return the digest of a secret and an issuer, which binds a state to both.

    A slug can get another issuer in the meantime, to which no code of the former one may be sent
    (RFC 9700 §4.4.2).
    """
    return encode_base64url(digest(secret + issuer.encode()))


def write_state(state: State, *, now: datetime) -> str:
    """Return the token of a state."""
    claims: dict[str, Any] = {
        "sub": _NIL_SUBJECT,
        "provider": state.provider,
        "flow": state.flow_id,
        "purpose": state.purpose,
        "binding": state.binding,
    }
    if state.session_id is not None:
        claims["sid"] = str(state.session_id)
    if state.language:
        claims["lang"] = state.language
    return sign(
        STATE,
        claims,
        public_url=SETTINGS.get().public_url,
        issued_at=now,
        expires_at=now + STATE_TTL,
    )


def read_state(token: str, *, now: datetime) -> State:
    """Return the content of a state's token.

    Raises:
        UnknownStateError: it is not one of this service, or has expired.
    """
    try:
        claims = verify(STATE, token, public_url=SETTINGS.get().public_url, now=now)
        purpose = Purpose(claims["purpose"])
    except (UnauthenticatedError, ValueError) as error:
        raise UnknownStateError from error
    return State(
        provider=claims["provider"],
        flow_id=claims["flow"],
        purpose=purpose,
        binding=claims["binding"],
        session_id=UUID(claims["sid"]) if "sid" in claims else None,
        language=claims.get("lang", ""),
    )


def verifier_of(secret: bytes) -> str:
    """Return the verifier of PKCE: 43 characters (RFC 7636 §4.1)."""
    return encode_base64url(KEYRING.get().mac(VERIFIER, secret))


def challenge_of(secret: bytes) -> str:
    """Return the challenge of the verifier, by S256 (RFC 7636 §4.2)."""
    return encode_base64url(digest(verifier_of(secret).encode()))


def nonce_of(secret: bytes) -> str:
    """Return the nonce that the ID token has to repeat (OpenID Connect Core §15.5.2)."""
    return encode_base64url(KEYRING.get().mac(NONCE, secret))
