"""phpass's portable hashes (openwall.com/phpass), as WordPress and phpBB use them."""

import re

from passlib.hash import phpass

from authserve.passwords.foreign_hashes.model import (
    ForeignHash,
    codec,
    require_affordable,
    require_undamaged,
)

MIN_LOG_ROUNDS = 7
MAX_LOG_ROUNDS = 19
"""Limits of the base-two logarithm of MD5's rounds. The highest takes about half a second of one
core (measured); WordPress uses 13."""

_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _make(match: re.Match[str]) -> ForeignHash:
    log_rounds = _ALPHABET.index(match["log_rounds"])
    # 22 characters hold the 128 bits of MD5 and 4 spare bits, which are always zero.
    require_undamaged(log_rounds >= MIN_LOG_ROUNDS and _ALPHABET.index(match[0][-1]) < 4)
    require_affordable(log_rounds <= MAX_LOG_ROUNDS)
    stored = match[0]

    def check(secret: bytes) -> bool:
        return bool(phpass.verify(secret, stored))

    return ForeignHash(stored=stored, check=check)


_ENCODED = r"[A-Za-z0-9./]"

parse = codec([(rf"\$[PH]\$(?P<log_rounds>{_ENCODED}){_ENCODED}{{30}}", _make)])
