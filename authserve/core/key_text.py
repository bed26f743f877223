"""Secrets that a machine keeps as text: a prefix, 256 random bits and a check sum.

The prefix lets scanners of source code find a leaked secret. The check sum tells a mistyped or cut
secret from a wrong one without a query; it proves nothing.
"""

import zlib

from authserve.core.crypto import random_bytes

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

_SECRET_BYTES = 32
"""256 bits; ASVS 11.5.1 requires 128."""

_SECRET_LENGTH = 43
"""Digits of base 62 that hold 256 bits."""

_SUM_LENGTH = 6
"""Digits of base 62 that hold the 32 bits of a CRC."""

HINT_LENGTH = 4
"""Length of the end of a secret that lists show, so that its owner can tell two apart. It is a part
of the check sum, so it reveals at most 24 of the 256 bits (chosen)."""


def new_key_text(prefix: str) -> str:
    """Return a new secret that begins with `prefix`."""
    number = int.from_bytes(random_bytes(_SECRET_BYTES))
    body = f"{prefix}{_to_base62(number, _SECRET_LENGTH)}"
    return body + _sum_of(body)


def is_key_text(text: str, prefix: str) -> bool:
    """Return True if a text has the form of a secret of `prefix`, check sum included."""
    if not text.isascii() or len(text) != len(prefix) + _SECRET_LENGTH + _SUM_LENGTH:
        return False
    body, check = text[:-_SUM_LENGTH], text[-_SUM_LENGTH:]
    return body.startswith(prefix) and check == _sum_of(body)


def hint_of(text: str) -> str:
    """Return the end of a secret, for lists."""
    return text[-HINT_LENGTH:]


def _sum_of(body: str) -> str:
    return _to_base62(zlib.crc32(body.encode()), _SUM_LENGTH)


def _to_base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
