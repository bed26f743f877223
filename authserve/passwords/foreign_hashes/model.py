"""The result, the error and the limits that the codecs of foreign hashes share."""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import field

from authserve.core.frozen import frozen

MAX_LENGTH = 255
"""Characters of a stored hash; the width of the column `users.password_hash`."""

MAX_MEMORY_KIB = 128 * 1024
"""Most memory of one verification, in KiB. Django's Argon2 takes 100 MiB, OWASP's scrypt 128 MiB.
A worker verifies one hash at a time, so this is also the limit per worker."""

MIN_TAG_BYTES = 16
"""Fewest bytes of a key derivation's result; fewer could match by chance (chosen)."""


class UnusableHashError(Exception):
    """No password can be verified by this hash.

    Args:
        reason: words for an operator; they contain no part of the hash.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@frozen(kw_only=True)
class ForeignHash:
    """An accepted hash.

    Args:
        stored: the form in which the database keeps it; `parse_hash` accepts it again.
        check: returns True if the hash was made from a password (UTF-8, at most 4096 bytes).
            Raises MemoryError if there is too little memory for this cost.
    """

    stored: str = field(repr=False)
    check: Callable[[bytes], bool] = field(repr=False)


Codec = Callable[[str], ForeignHash]
Form = tuple[str, Callable[[re.Match[str]], ForeignHash]]
"""A pattern of a whole hash, and the function that makes a `ForeignHash` from its match."""


def codec(forms: Sequence[Form]) -> Codec:
    """Return a codec that uses the first form whose pattern matches."""
    compiled = [(re.compile(pattern), make) for pattern, make in forms]

    def parse(raw: str) -> ForeignHash:
        try:
            for pattern, make in compiled:
                match = pattern.fullmatch(raw)
                if match is not None:
                    return make(match)
        except ValueError as error:
            # The cause is dropped, since its text may quote the hash.
            raise UnusableHashError(f"damaged ({type(error).__name__})") from None
        raise UnusableHashError("damaged, or not in a supported format")

    return parse


def require_affordable(is_affordable: bool) -> None:
    """Refuse a hash whose verification is too expensive.

    Raises:
        UnusableHashError: `is_affordable` is False.
    """
    if not is_affordable:
        raise UnusableHashError("costs more than a second or 128 MiB to check")


def require_undamaged(is_undamaged: bool) -> None:
    """Refuse a hash that is malformed.

    Raises:
        UnusableHashError: `is_undamaged` is False.
    """
    if not is_undamaged:
        raise UnusableHashError("damaged")


def decode_base64(text: str) -> bytes:
    """Decode base64, padded or not, in the alphabets of RFC 4648 §4 and §5 and of passlib.

    Raises:
        ValueError: the text has another character, or an impossible length.
    """
    standard = text.rstrip("=").translate(_TO_STANDARD)
    return b64decode(standard + "=" * (-len(standard) % 4), validate=True)


_TO_STANDARD = str.maketrans("-_.", "+/+")


def encode_base64(raw: bytes) -> str:
    """Encode in base64 without padding, as in PHC strings."""
    return b64encode(raw).decode().rstrip("=")


NUMBER = r"(?:0|[1-9][0-9]{0,8})"
"""A parameter in decimal, of at most nine digits."""

BASE64 = r"[A-Za-z0-9+/]+"
"""Base64 (RFC 4648 §4) without padding."""
