"""Argon2 (RFC 9106): PHC strings of any kind and version, also as Django writes them."""

import re

from argon2.exceptions import HashingError
from argon2.low_level import Type, hash_secret_raw

from authserve.core.crypto import is_equal
from authserve.passwords.foreign_hashes.model import (
    BASE64,
    MAX_MEMORY_KIB,
    MIN_TAG_BYTES,
    NUMBER,
    ForeignHash,
    codec,
    decode_base64,
    encode_base64,
    require_affordable,
    require_undamaged,
)

MAX_WORK_KIB = 512 * 1024
"""Limit of KiB times passes: 0.5 to 0.6 s of one core (measured)."""

MAX_LANES = 16
"""Limit of lanes (chosen): each is a thread while hashing. Django uses 8, libraries up to 4."""

MIN_SALT_BYTES = 8
"""The reference implementation requires 8 bytes; RFC 9106 §3.1 allows less."""

_TYPES = {"argon2id": Type.ID, "argon2i": Type.I, "argon2d": Type.D}


def _make(match: re.Match[str]) -> ForeignHash:
    kind, version = match["kind"], int(match["version"] or 16)
    memory_kib, passes, lanes = (int(match[name]) for name in "mtp")
    salt, tag = decode_base64(match["salt"]), decode_base64(match["tag"])
    require_undamaged(
        passes >= 1
        and lanes >= 1
        and memory_kib >= 8 * lanes
        and len(salt) >= MIN_SALT_BYTES
        and len(tag) >= MIN_TAG_BYTES
    )
    require_affordable(
        memory_kib <= MAX_MEMORY_KIB and memory_kib * passes <= MAX_WORK_KIB and lanes <= MAX_LANES
    )

    def check(secret: bytes) -> bool:
        try:
            computed = hash_secret_raw(
                secret, salt, passes, memory_kib, lanes, len(tag), _TYPES[kind], version
            )
        except HashingError as error:
            # The parameters are valid, so the system lacks memory or threads.
            raise MemoryError from error
        return is_equal(computed, tag)

    parameters = f"v={version}$m={memory_kib},t={passes},p={lanes}"
    stored = f"${kind}${parameters}${encode_base64(salt)}${encode_base64(tag)}"
    return ForeignHash(stored=stored, check=check)


_PHC = (
    rf"(?:argon2)?\$(?P<kind>argon2(?:id|i|d))(?:\$v=(?P<version>16|19))?"
    rf"\$m=(?P<m>{NUMBER}),t=(?P<t>{NUMBER}),p=(?P<p>{NUMBER})"
    rf"\$(?P<salt>{BASE64})\$(?P<tag>{BASE64})"
)

parse = codec([(_PHC, _make)])
