"""Password hashes of other systems: one codec per format accepts a hash and verifies it.

Import and login call the same `parse_hash`, so every stored hash can be verified. A codec is found
by prefix and loaded at the first hash of its kind, so a service without imported accounts loads
none.
"""

import hmac
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha512
from importlib import import_module
from typing import cast

from authserve.passwords.foreign_hashes.model import MAX_LENGTH, ForeignHash, UnusableHashError

__all__ = ["FLASK_SECURITY_PREFIX", "ForeignHash", "UnusableHashError", "parse_hash"]

FLASK_SECURITY_PREFIX = "$flask-security$"
"""Prefix of a hash that was made from an HMAC of the password (`_parse_flask_security`)."""

_CODECS = {
    "$argon2": "argon2",
    "argon2$": "argon2",
    "$2": "bcrypt",
    "$wp$2": "bcrypt",
    "bcrypt$": "bcrypt",
    "bcrypt_sha256$": "bcrypt",
    "$bcrypt-sha256$": "bcrypt",
    "$pbkdf2": "pbkdf2",
    "pbkdf2_": "pbkdf2",
    "pbkdf2:": "pbkdf2",
    "$scrypt$": "scrypt",
    "scrypt:": "scrypt",
    "scrypt$": "scrypt",
    "$fbscrypt$": "firebase",
    "$firebase-scrypt$": "firebase",
    "$5$": "sha_crypt",
    "$6$": "sha_crypt",
    "$P$": "phpass",
    "$H$": "phpass",
    "md5$": "salted_digest",
    "sha1$": "salted_digest",
    "sha256$": "salted_digest",
    "sha512$": "salted_digest",
    "A": "aspnet",
}
"""Modules of this package by the prefix of a hash; each has a function `parse`."""


def parse_hash(raw: str, *, flask_security_salt: str = "") -> ForeignHash:
    """Accept a hash if a codec can verify passwords with it, else refuse it.

    Args:
        raw: the hash as the other system wrote it, or in the stored form.
        flask_security_salt: the setting `FLASK_SECURITY_SALT`; empty if it is not set.

    Raises:
        UnusableHashError: no codec accepts this format, the hash is damaged or too long for the
            column, verifying it costs more than a second or 128 MiB, or a hash of
            Flask-Security comes while the salt is not set.
    """
    if raw.startswith(FLASK_SECURITY_PREFIX):
        parsed = _parse_flask_security(raw, flask_security_salt)
    else:
        parsed = _find_codec(raw)(raw)
    if len(parsed.stored) > MAX_LENGTH:
        raise UnusableHashError("too long")
    return parsed


def _find_codec(raw: str) -> Callable[[str], ForeignHash]:
    for prefix, module in _CODECS.items():
        if raw.startswith(prefix):
            # Imported here to save the memory of workers that never see such a hash.
            codec = import_module(f"{__name__}.{module}")
            return cast("Callable[[str], ForeignHash]", codec.parse)
    raise UnusableHashError("not in a supported format")


def _parse_flask_security(raw: str, salt: str) -> ForeignHash:
    """Accept a hash of Flask-Security, which hashes an HMAC of the password (its `get_hmac`)."""
    if not salt:
        raise UnusableHashError("needs the setting FLASK_SECURITY_SALT")
    inner = raw.removeprefix(FLASK_SECURITY_PREFIX)
    parsed = _find_codec(inner)(inner)

    def check(secret: bytes) -> bool:
        return parsed.check(b64encode(hmac.digest(salt.encode(), secret, sha512)))

    return ForeignHash(stored=f"{FLASK_SECURITY_PREFIX}{parsed.stored}", check=check)
