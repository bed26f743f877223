"""ASP.NET Identity: base64 of a version byte and PBKDF2's parts (its class `PasswordHasher`)."""

import re
import struct

from authserve.passwords.foreign_hashes.model import (
    ForeignHash,
    codec,
    decode_base64,
    require_undamaged,
)
from authserve.passwords.foreign_hashes.pbkdf2 import make_pbkdf2

_DIGESTS = {0: "sha1", 1: "sha256", 2: "sha512"}
"""Digests by their number in the hash (`KeyDerivationPrf`)."""

_HEADER = struct.Struct(">BIII")
"""Version 3: version, function, iterations, bytes of salt."""

_VERSION_2_BYTES = 1 + 16 + 32
"""Version, salt and key; SHA-1 with 1,000 iterations."""


def _make(match: re.Match[str]) -> ForeignHash:
    raw = decode_base64(match[0])
    if raw[0] == 0:
        require_undamaged(len(raw) == _VERSION_2_BYTES)
        return make_pbkdf2(digest="sha1", iterations=1000, salt=raw[1:17], key=raw[17:])
    require_undamaged(raw[0] == 1 and len(raw) > _HEADER.size)
    _, function, iterations, salt_size = _HEADER.unpack_from(raw)
    salt, key = raw[_HEADER.size :][:salt_size], raw[_HEADER.size + salt_size :]
    require_undamaged(function in _DIGESTS and len(salt) == salt_size)
    return make_pbkdf2(digest=_DIGESTS[function], iterations=iterations, salt=salt, key=key)


parse = codec([(r"A[A-Za-z0-9+/]{30,}={0,2}", _make)])
