"""PBKDF2 (RFC 8018 §5.2) as Django, Werkzeug and passlib write it, with keys of any length."""

import re
from hashlib import pbkdf2_hmac

from authserve.core.crypto import is_equal
from authserve.passwords.foreign_hashes.model import (
    MIN_TAG_BYTES,
    NUMBER,
    ForeignHash,
    codec,
    decode_base64,
    encode_base64,
    require_affordable,
    require_undamaged,
)

MAX_ITERATIONS = {"sha1": 2_000_000, "sha256": 2_000_000, "sha512": 1_000_000}
"""Limits by digest: each 0.6 to 0.7 s of one core (measured). Django 6 uses 1,200,000 (SHA-256)."""

_BLOCK_BYTES = {"sha1": 20, "sha256": 32, "sha512": 64}


def make_pbkdf2(*, digest: str, iterations: int, salt: bytes, key: bytes) -> ForeignHash:
    """Return the `ForeignHash` of these parts.

    A key longer than the digest is cut to the digest's length: the blocks of PBKDF2 are
    independent, so the first one is enough to verify a password.

    Raises:
        UnusableHashError: the salt is empty, the key too short, or the cost too high.
    """
    require_undamaged(iterations >= 1 and len(salt) >= 1 and len(key) >= MIN_TAG_BYTES)
    require_affordable(iterations <= MAX_ITERATIONS[digest])
    tag = key[: _BLOCK_BYTES[digest]]

    def check(secret: bytes) -> bool:
        return is_equal(pbkdf2_hmac(digest, secret, salt, iterations, len(tag)), tag)

    name = "pbkdf2" if digest == "sha1" else f"pbkdf2-{digest}"
    return ForeignHash(
        stored=f"${name}${iterations}${_encode(salt)}${_encode(tag)}",
        check=check,
    )


def _encode(raw: bytes) -> str:
    """Encode as passlib does, so that the release before this one verifies these hashes too."""
    return encode_base64(raw).replace("+", ".")


def _django(match: re.Match[str]) -> ForeignHash:
    return _of_match(match, salt=match["salt"].encode(), key=decode_base64(match["key"]))


def _werkzeug(match: re.Match[str]) -> ForeignHash:
    return _of_match(match, salt=match["salt"].encode(), key=bytes.fromhex(match["key"]))


def _passlib(match: re.Match[str]) -> ForeignHash:
    return _of_match(match, salt=decode_base64(match["salt"]), key=decode_base64(match["key"]))


def _of_match(match: re.Match[str], *, salt: bytes, key: bytes) -> ForeignHash:
    return make_pbkdf2(
        digest=match["digest"] or "sha1", iterations=int(match["iterations"]), salt=salt, key=key
    )


_ITERATIONS = rf"(?P<iterations>{NUMBER})"
_ENCODED = r"[A-Za-z0-9+/.]"

_DJANGO = rf"pbkdf2_(?P<digest>sha1|sha256)\${_ITERATIONS}\$(?P<salt>[^$]+)\$(?P<key>{_ENCODED}+=*)"
_WERKZEUG = (
    rf"pbkdf2:(?P<digest>sha1|sha256|sha512):{_ITERATIONS}\$(?P<salt>[^$]+)"
    r"\$(?P<key>[0-9A-Fa-f]+)"
)
_PASSLIB = (
    rf"\$pbkdf2(?:-(?P<digest>sha1|sha256|sha512))?\$(?:i=)?{_ITERATIONS}(?:,l={NUMBER})?"
    rf"\$(?P<salt>{_ENCODED}*)\$(?P<key>{_ENCODED}+)"
)
"""Without a digest, SHA-1 is meant; `i=` and `l=` come from the PHC string format."""

parse = codec([(_DJANGO, _django), (_WERKZEUG, _werkzeug), (_PASSLIB, _passlib)])
