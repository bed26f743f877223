"""The verification of another provider's ID token (OpenID Connect Core §3.1.3.7).

It is pure. Keys come from the provider's set alone, never from the token's header, and each key has
the one algorithm that its type leads to (RFC 8725 §3.1, §3.2).
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK, PyJWT, get_unverified_header
from jwt.exceptions import PyJWTError

from authserve.core.crypto import is_equal
from authserve.core.frozen import frozen
from authserve.federation.answer_faults import AnswerFault

ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
"""Accepted algorithms: signatures by a private key that only the provider has (RFC 8725 §3.1)."""

_KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
"""The type of key by the first two letters of its algorithm (RFC 7518 §3.1, RFC 8037 §3.1)."""

MIN_RSA_BITS = 2_048
"""NIST SP 800-131A Rev. 2: shorter keys may not sign."""

MAX_KEYS = 100
"""Keys of a set that are read (chosen; large providers publish about ten)."""

LEEWAY_SECS = 60
"""Accepted difference to the provider's clock, in seconds (chosen; RFC 7519 §4.1.4 allows "no more
than a few minutes")."""

MAX_SUBJECT_LENGTH = 255
"""Limits a subject, in ASCII characters (OpenID Connect Core §2)."""

_LATEST = 2**53
"""Times from here on are no seconds since 1970."""

_REQUIRED = ("iss", "sub", "aud", "exp", "iat")

_jwt = PyJWT()


class IDTokenError(Exception):
    """An ID token that fails a check.

    Args:
        reason: words for the operator; they contain nothing of the token.
        fault: the check that it fails.
    """

    def __init__(self, reason: str, fault: AnswerFault) -> None:
        super().__init__(reason)
        self.reason, self.fault = reason, fault


class UnknownKeyError(IDTokenError):
    """A token signed with a key that the known set does not have; a newer set may have it."""


@frozen()
class ProviderKey:
    """A public key of a provider.

    Args:
        kid: None if the set names none.
        algorithm: the one that its set names; None if its type alone restricts it.
        type: its `kty`.
    """

    kid: str | None
    algorithm: str | None
    type: str
    key: Any = field(repr=False)

    def fits(self, algorithm: str) -> bool:
        """Return True if the key may verify signatures of an algorithm."""
        is_of_type = _KEY_TYPES.get(algorithm[:2]) == self.type
        return is_of_type and self.algorithm in (None, algorithm)


def read_keys(document: object) -> tuple[ProviderKey, ...]:
    """Return the usable keys of a JWK Set (RFC 7517 §5); others are left out, as §5 says.

    Args:
        document: parsed JSON.
    """
    found = document.get("keys") if isinstance(document, Mapping) else None
    entries = found if isinstance(found, list) else []
    keys = (_read_key(entry) for entry in entries[:MAX_KEYS])
    return tuple(key for key in keys if key is not None)


def _read_key(entry: object) -> ProviderKey | None:
    # A set with a private key ("d") has no secret left to prove anything with.
    if not isinstance(entry, dict) or "d" in entry or entry.get("use", "sig") != "sig":
        return None
    kid, algorithm = entry.get("kid"), entry.get("alg")
    is_named = isinstance(algorithm, str)
    if algorithm is not None and not (is_named and algorithm in ALGORITHMS):
        return None
    try:
        parsed = PyJWK.from_dict(entry)
    except (PyJWTError, ValueError, TypeError, KeyError, AttributeError):
        return None
    if isinstance(parsed.key, RSAPublicKey) and parsed.key.key_size < MIN_RSA_BITS:
        return None
    if parsed.algorithm_name not in ALGORITHMS:
        return None
    kid = kid if isinstance(kid, str) else None
    return ProviderKey(kid, algorithm, str(entry["kty"]), parsed.key)


@frozen(kw_only=True)
class Expected:
    """The claims that an ID token must have.

    Args:
        issuer: exactly.
        client_id: this service's, at the provider.
        nonce: of the flow.
    """

    issuer: str
    client_id: str
    nonce: str = field(repr=False)


def verify_id_token(
    token: str, keys: Sequence[ProviderKey], *, expected: Expected, now: datetime
) -> dict[str, Any]:
    """Return the claims of an ID token, whose `sub` is text of 1 to 255 printable ASCII characters.

    Args:
        keys: the provider's.
        now: the current time.

    Raises:
        UnknownKeyError: no key fits; fetch the set again, once.
        IDTokenError: the token is not good, and no newer set of keys would help.
    """
    algorithm, kid = _read_header(token)
    fitting = [key for key in keys if key.fits(algorithm) and kid in (None, key.kid)]
    if not fitting:
        raise UnknownKeyError("its key is not in the provider's set", AnswerFault.SIGNATURE)
    # Without a `kid` each key is tried; a provider that has several should name one (§10.1).
    claims = _decode_by_any(token, fitting, algorithm, expected.issuer)
    _check_times(claims, now)
    _check_audience(claims, expected.client_id)
    if not _is_text_equal(claims.get("nonce"), expected.nonce):
        raise IDTokenError("its nonce is not that of this sign-in", AnswerFault.NONCE)
    subject = claims["sub"]
    if not isinstance(subject, str) or not _is_subject(subject):
        raise IDTokenError("its subject is not usable", AnswerFault.SUBJECT)
    return claims


def _is_subject(text: str) -> bool:
    """Return True for a subject that can be stored: PostgreSQL's texts cannot have a NUL."""
    return text.isascii() and text.isprintable() and 0 < len(text) <= MAX_SUBJECT_LENGTH


def _is_text_equal(value: object, secret: str) -> bool:
    is_text = isinstance(value, str) and value.isascii()
    return is_text and is_equal(str(value).encode(), secret.encode())


def _read_header(token: str) -> tuple[str, str | None]:
    if not token.isascii():
        # A lone surrogate, which JSON can hold, has no bytes.
        raise IDTokenError("it is not a signed token", AnswerFault.SIGNATURE)
    try:
        header = get_unverified_header(token)
    except PyJWTError as error:
        raise IDTokenError("it is not a signed token", AnswerFault.SIGNATURE) from error
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise IDTokenError("its algorithm is not accepted", AnswerFault.SIGNATURE)
    return algorithm, kid if isinstance(kid, str) else None


def _decode_by_any(
    token: str, keys: Sequence[ProviderKey], algorithm: str, issuer: str
) -> dict[str, Any]:
    failure: PyJWTError | None = None
    for key in keys:
        try:
            return _decode(token, key, algorithm, issuer)
        except PyJWTError as error:
            failure = error
    name = type(failure).__name__
    reason = f"it is not a token of this provider ({name})"
    raise IDTokenError(reason, AnswerFault.SIGNATURE) from failure


def _decode(token: str, key: ProviderKey, algorithm: str, issuer: str) -> dict[str, Any]:
    claims: dict[str, Any] = _jwt.decode(
        token,
        key.key,
        algorithms=[algorithm],
        issuer=issuer,
        options={
            "require": list(_REQUIRED),
            # The times are compared with the caller's clock, the audience as §3.1.3.7 says.
            "verify_aud": False,
            "verify_exp": False,
            "verify_iat": False,
            "verify_nbf": False,
        },
    )
    return claims


def _check_times(claims: Mapping[str, Any], now: datetime) -> None:
    moment = now.timestamp()
    expiry, issued = (_number(claims[name]) for name in ("exp", "iat"))
    if expiry + LEEWAY_SECS <= moment:
        raise IDTokenError("it has expired; compare the two clocks", AnswerFault.TIMES)
    if issued - LEEWAY_SECS > moment:
        raise IDTokenError("it was issued in the future; compare the two clocks", AnswerFault.TIMES)


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # The comparison also refuses NaN and infinite numbers.
    if not is_number or not 0 <= value < _LATEST:
        raise IDTokenError("its times are no numbers", AnswerFault.TIMES)
    return float(value)


def _check_audience(claims: Mapping[str, Any], client_id: str) -> None:
    """Accept a token for this client alone, or one whose `azp` says that it was issued to it."""
    audience, party = claims["aud"], claims.get("azp")
    is_alone = audience in (client_id, [client_id])
    is_named = isinstance(audience, list) and client_id in audience and party == client_id
    if not (is_alone or is_named) or party not in (None, client_id):
        raise IDTokenError("it is for another client", AnswerFault.AUDIENCE)
