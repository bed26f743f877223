"""Bytes in base64url without padding (RFC 4648 §5), the form that cookies, URLs and JSON carry.

It is a module of its own because most packages need it, and each value has one spelling.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode


def encode_base64url(raw: bytes) -> str:
    """Return bytes in base64url without padding."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_base64url(text: str) -> bytes:
    """Return the bytes of a text in base64url without padding.

    Raises:
        ValueError: the text is not exactly what `encode_base64url` returns for those bytes.
    """
    raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    # Python ignores characters outside the alphabet, and bits that belong to no byte.
    if encode_base64url(raw) != text:
        raise ValueError("not base64url without padding")
    return raw
