"""Base64url without padding: each value has one spelling."""

import pytest

from authserve.core.base64url import decode_base64url, encode_base64url


@pytest.mark.parametrize(
    ("raw", "text"),
    # RFC 4648 §10, with the padding left out, and the two letters of §5.
    [(b"", ""), (b"f", "Zg"), (b"fo", "Zm8"), (b"foo", "Zm9v"), (b"\xfb\xff", "-_8")],
)
def test_bytes_and_text_are_each_others(raw: bytes, text: str) -> None:
    assert encode_base64url(raw) == text
    assert decode_base64url(text) == raw


@pytest.mark.parametrize(
    "text",
    ["Zg==", "Zh", "Z", "Zm9v\n", "Zm 9v", "-/8", "Zg\u00e9", "\udcff"],
    ids=["padding", "unused bits", "length", "line", "space", "slash", "letter", "surrogate"],
)
def test_another_spelling_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        decode_base64url(text)
