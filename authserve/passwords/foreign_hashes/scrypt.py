"""scrypt (RFC 7914) as Django, Werkzeug and passlib write it."""

import re
from hashlib import scrypt

from authserve.core.crypto import is_equal
from authserve.passwords.foreign_hashes.model import (
    BASE64,
    NUMBER,
    ForeignHash,
    codec,
    decode_base64,
    encode_base64,
    require_affordable,
    require_undamaged,
)

MAX_WORK = 2**20
"""Limit of N times r times p: about half a second of one core (measured), and at most 128 MiB,
since a hash takes 128 bytes times N times r (RFC 7914 §5)."""

TAG_BYTES = 32
"""Bytes of a result that are kept. scrypt ends in PBKDF2 (RFC 7914 §6), whose first bytes do not
depend on the length; so the first 32 of Werkzeug's and Django's 64 are enough to verify."""


def require_scrypt_parameters(*, log_n: int, r: int, p: int) -> None:
    """Refuse parameters that are invalid or too expensive.

    Raises:
        UnusableHashError: RFC 7914 §2 excludes them, or they cost too much.
    """
    require_undamaged(1 <= log_n < 16 * r and p >= 1)
    # Check the exponent first: 2 to the power of a nine-digit number would fill the memory.
    require_affordable(log_n <= 20 and 2**log_n * r * p <= MAX_WORK)


def derive_scrypt(secret: bytes, salt: bytes, *, log_n: int, r: int, p: int) -> bytes:
    """Return the first 32 bytes of scrypt's result.

    Raises:
        MemoryError: there is too little memory for this cost.
    """
    need = 128 * r * (2**log_n + p + 2) + 1024 * 1024
    try:
        return scrypt(secret, salt=salt, n=2**log_n, r=r, p=p, maxmem=need, dklen=TAG_BYTES)
    except ValueError as error:
        # The parameters are valid, so the memory is short.
        raise MemoryError from error


def _make(*, log_n: int, r: int, p: int, salt: bytes, tag: bytes) -> ForeignHash:
    require_scrypt_parameters(log_n=log_n, r=r, p=p)
    require_undamaged(len(salt) >= 1 and len(tag) >= TAG_BYTES)
    kept = tag[:TAG_BYTES]

    def check(secret: bytes) -> bool:
        return is_equal(derive_scrypt(secret, salt, log_n=log_n, r=r, p=p), kept)

    stored = f"$scrypt$ln={log_n},r={r},p={p}${encode_base64(salt)}${encode_base64(kept)}"
    return ForeignHash(stored=stored, check=check)


def _passlib(match: re.Match[str]) -> ForeignHash:
    log_n, r, p = (int(match[name]) for name in ("ln", "r", "p"))
    salt, tag = decode_base64(match["salt"]), decode_base64(match["tag"])
    return _make(log_n=log_n, r=r, p=p, salt=salt, tag=tag)


def _werkzeug(match: re.Match[str]) -> ForeignHash:
    return _of_n(match, bytes.fromhex(match["tag"]))


def _django(match: re.Match[str]) -> ForeignHash:
    return _of_n(match, decode_base64(match["tag"]))


def _of_n(match: re.Match[str], tag: bytes) -> ForeignHash:
    n, r, p = (int(match[name]) for name in "nrp")
    require_undamaged(n >= 2 and n & (n - 1) == 0)
    return _make(log_n=n.bit_length() - 1, r=r, p=p, salt=match["salt"].encode(), tag=tag)


_N, _R, _P = (rf"(?P<{name}>{NUMBER})" for name in "nrp")

parse = codec(
    [
        (
            rf"\$scrypt\$ln=(?P<ln>{NUMBER}),r={_R},p={_P}\$(?P<salt>{BASE64})\$(?P<tag>{BASE64})",
            _passlib,
        ),
        (rf"scrypt:{_N}:{_R}:{_P}\$(?P<salt>[^$]+)\$(?P<tag>[0-9A-Fa-f]+)", _werkzeug),
        (rf"scrypt\${_N}\$(?P<salt>[^$]+)\${_R}\${_P}\$(?P<tag>{BASE64}=*)", _django),
    ]
)
