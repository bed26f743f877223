"""Parsers of secrets, and the check that refuses guessable ones in production."""

import re
from itertools import pairwise

from marshmallow import ValidationError

SECRET_MIN_BYTES = 32
"""The size of HS256's digest; HS256 signs refresh tokens (RFC 7518 §3.2)."""


def parse_secret(raw: str) -> str:
    """Parse a secret of at least 32 bytes in UTF-8.

    It may have several lines, as from `openssl rand -base64`.
    """
    try:
        size = len(raw.encode())
    except UnicodeEncodeError:
        raise ValidationError("must be text in UTF-8") from None
    if size < SECRET_MIN_BYTES:
        raise ValidationError(f"must be at least {SECRET_MIN_BYTES} random bytes long")
    return raw


def parse_secrets(raw: str) -> tuple[str, ...]:
    """Parse secrets separated by commas, each of at least 32 bytes; empty text means none."""
    return tuple(parse_secret(part.strip()) for part in raw.split(",")) if raw else ()


_BEARER_TOKEN = re.compile(rf"[A-Za-z0-9._~+/-]{{{SECRET_MIN_BYTES},512}}=*")
"""The form of a bearer token (RFC 6750 §2.1)."""


def parse_bearer_token(raw: str) -> str:
    """Parse a bearer token of 32 to 512 characters and padding; empty text means none."""
    if raw and not _BEARER_TOKEN.fullmatch(raw):
        raise ValidationError("must be 32 to 512 letters, digits and -._~+/ or empty")
    return raw


_PLACEHOLDER_WORDS = (
    "authserve",
    "changeme",
    "default",
    "example",
    "insecure",
    "password",
    "placeholder",
    "replaceme",
    "secret",
)
"""Words that people write into examples. About one random key of 64 characters in six million
contains one by chance (26⁻⁶ at each of 50 places for `secret`, the shortest)."""

_MIN_VARIETY = 8
"""The least number of different characters, and of different steps from one to the next. Chosen
by measurement: 200 000 random keys of 32 hexadecimal digits had at least 9 and 12 of them."""


def find_weakness(secret: str) -> str | None:
    """Return the reason why a long enough secret is guessable, or None if none is found.

    This finds secrets that were typed by hand or copied from an example. It cannot measure
    randomness.

    Args:
        secret: a text that `parse_secret` or `parse_bearer_token` accepted.

    Returns:
        The predicate of a sentence whose subject is the secret; it quotes no part of the secret.
    """
    data = secret.encode()
    letters = re.sub(r"[^a-z]", "", secret.lower())
    if any(word in letters for word in _PLACEHOLDER_WORDS):
        return "looks like a placeholder or a well-known default"
    if any(data[period:] == data[:-period] for period in _periods(len(data))):
        return "repeats one short text"
    # Runs such as 'abcdefgh…' have many characters, but few different steps between them.
    steps = {following - current for current, following in pairwise(data)}
    if min(len(set(data)), len(steps)) < _MIN_VARIETY:
        return "has too few different characters"
    return None


def _periods(size: int) -> range:
    """Return the periods to check: shorter than a secret, and repeated at least twice in `size`."""
    return range(1, min(SECRET_MIN_BYTES, size // 2 + 1))
