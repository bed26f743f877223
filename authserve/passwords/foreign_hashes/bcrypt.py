"""bcrypt, alone or applied to a digest of the password, as Django, passlib and WordPress do.

bcrypt reads 72 bytes, and the systems that made these hashes ignored the rest. So only these bytes
of a longer password are compared; at the first login a hash of the whole password replaces it.
"""

import hmac
import re
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256, sha384

from bcrypt import hashpw

from authserve.core.crypto import is_equal
from authserve.passwords.foreign_hashes.model import (
    ForeignHash,
    codec,
    require_affordable,
    require_undamaged,
)

MAX_COST = 13
"""Limit of the base-two logarithm of the rounds: about half a second of one core (measured)."""

MIN_COST = 4
"""The lowest cost that bcrypt itself accepts."""

MAX_BYTES = 72
"""Bytes that bcrypt reads of a password."""

_ALPHABET = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def _plain(match: re.Match[str]) -> ForeignHash:
    return _make(match, lambda secret: secret)


def _django_sha256(match: re.Match[str]) -> ForeignHash:
    return _make(match, lambda secret: sha256(secret).hexdigest().encode(), "bcrypt_sha256$")


def _wordpress(match: re.Match[str]) -> ForeignHash:
    """Accept a hash of WordPress 6.8 or newer (its `wp_hash_password`)."""
    key = b"wp-sha384"
    return _make(
        match, lambda secret: b64encode(hmac.digest(key, secret.strip(_TRIMMED), sha384)), "$wp"
    )


_TRIMMED = b" \n\r\t\v\0"
"""The characters that PHP's `trim` removes; WordPress trims every password."""


def _passlib_sha256_1(match: re.Match[str]) -> ForeignHash:
    parameters = f"2b,{int(match['cost'])}"
    return _make_passlib(match, lambda secret: sha256(secret).digest(), parameters)


def _passlib_sha256_2(match: re.Match[str]) -> ForeignHash:
    key = match["salt"].encode()
    parameters = f"v=2,t=2b,r={int(match['cost'])}"
    return _make_passlib(match, lambda secret: hmac.digest(key, secret, sha256), parameters)


def _make_passlib(
    match: re.Match[str], prepare: Callable[[bytes], bytes], parameters: str
) -> ForeignHash:
    # passlib writes no other salt, and version 2 uses its text as a key.
    require_undamaged(match["salt"] == _without_spare_bits(match["salt"], 4))
    check = _make(match, lambda secret: b64encode(prepare(secret))).check
    stored = f"$bcrypt-sha256${parameters}${match['salt']}${match['tag']}"
    return ForeignHash(stored=stored, check=check)


def _make(match: re.Match[str], prepare: Callable[[bytes], bytes], prefix: str = "") -> ForeignHash:
    cost = int(match["cost"])
    require_undamaged(cost >= MIN_COST)
    require_affordable(cost <= MAX_COST)
    # 22 characters hold the 128 bits of a salt and 4 spare bits, 31 the 184 bits of a tag and 2
    # spare bits. Some libraries set the spare bits, which bcrypt ignores.
    salt = _without_spare_bits(match["salt"], 4)
    tag = _without_spare_bits(match["tag"], 2)
    settings = f"$2b${cost:02}${salt}".encode()

    def check(secret: bytes) -> bool:
        prepared = prepare(secret)
        # C implementations end a password at its first NUL, so no hash was made with one.
        return b"\0" not in prepared and is_equal(
            hashpw(prepared[:MAX_BYTES], settings), settings + tag.encode()
        )

    stored = f"{prefix}${match['ident']}${cost:02}${salt}{tag}"
    return ForeignHash(stored=stored, check=check)


def _without_spare_bits(text: str, count: int) -> str:
    last = _ALPHABET.index(text[-1]) >> count << count
    return text[:-1] + _ALPHABET[last]


_SALT = r"(?P<salt>[A-Za-z0-9./]{22})"
_TAG = r"(?P<tag>[A-Za-z0-9./]{31})"
_PLAIN = rf"\$(?P<ident>2[aby])\$(?P<cost>[0-9]{{2}})\${_SALT}{_TAG}"
_PASSLIB_1 = rf"\$bcrypt-sha256\$(?P<ident>2[ab]),(?P<cost>[0-9]{{1,2}})\${_SALT}\${_TAG}"
_PASSLIB_2 = rf"\$bcrypt-sha256\$v=2,t=(?P<ident>2b),r=(?P<cost>[0-9]{{1,2}})\${_SALT}\${_TAG}"

parse = codec(
    [
        (rf"(?:bcrypt\$)?{_PLAIN}", _plain),
        (rf"bcrypt_sha256\${_PLAIN}", _django_sha256),
        (rf"\$wp{_PLAIN}", _wordpress),
        (_PASSLIB_1, _passlib_sha256_1),
        (_PASSLIB_2, _passlib_sha256_2),
    ]
)
