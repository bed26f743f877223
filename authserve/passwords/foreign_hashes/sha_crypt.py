"""SHA-crypt (akkadia.org/drepper/SHA-crypt.txt), `$5$` and `$6$`, computed by libpass."""

import re

from passlib.hash import sha256_crypt, sha512_crypt

from authserve.passwords.foreign_hashes.model import (
    NUMBER,
    ForeignHash,
    codec,
    require_affordable,
    require_undamaged,
)

MAX_ROUNDS = 1_000_000
"""Limit of rounds: 0.5 to 0.8 s of one core (measured)."""

_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _sha256(match: re.Match[str]) -> ForeignHash:
    return _make(match, sha256_crypt, spare_bits=2)


def _sha512(match: re.Match[str]) -> ForeignHash:
    return _make(match, sha512_crypt, spare_bits=4)


def _make(match: re.Match[str], handler: type, *, spare_bits: int) -> ForeignHash:
    rounds = int(match["rounds"] or 5000)
    # The spare bits at the end of a tag, the highest of its last character, are always zero.
    last = _ALPHABET.index(match["tag"][-1])
    require_undamaged(rounds >= 1000 and last >> (6 - spare_bits) == 0)
    require_affordable(rounds <= MAX_ROUNDS)
    stored = match[0]

    def check(secret: bytes) -> bool:
        return b"\0" not in secret and bool(handler.verify(secret, stored))  # type: ignore[attr-defined]

    return ForeignHash(stored=stored, check=check)


_SALT = rf"(?:rounds=(?P<rounds>{NUMBER})\$)?[A-Za-z0-9./]{{1,16}}"

parse = codec(
    [
        (rf"\$5\${_SALT}\$(?P<tag>[A-Za-z0-9./]{{43}})", _sha256),
        (rf"\$6\${_SALT}\$(?P<tag>[A-Za-z0-9./]{{86}})", _sha512),
    ]
)
