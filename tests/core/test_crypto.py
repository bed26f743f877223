"""Purpose keys, sealing and digests."""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserve.core.crypto import (
    KEYRING,
    Keyring,
    UndecryptableError,
    digest,
    is_equal,
    random_bytes,
)
from tests.conftest import CORE_SECRET as SECRET

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "hkdf_sha256.json").read_text()
)["cases"]

CONTEXT = b"the row that it belongs to"


def hkdf(ikm: bytes, *, salt: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 §2.2 and §2.3, written down once more."""
    key = hmac.digest(salt or bytes(32), ikm, "sha256")
    block, output = b"", b""
    while len(output) < length:
        block = hmac.digest(key, block + info + bytes([len(output) // 32 + 1]), "sha256")
        output += block
    return output[:length]


@pytest.mark.parametrize("case", VECTORS, ids=("A.1", "A.2", "A.3"))
def test_the_yardstick_is_the_rfcs(case: dict[str, Any]) -> None:
    salt, info = bytes.fromhex(case["salt"]), bytes.fromhex(case["info"])
    made = hkdf(bytes.fromhex(case["ikm"]), salt=salt, info=info, length=case["length"])
    assert made.hex() == case["okm"]


def test_a_purpose_key_is_hkdf_of_the_secret() -> None:
    """Another derivation would end every session and lose every sealed key at an upgrade."""
    expected = hkdf(b"a secret", salt=b"", info=b"authserve:refresh-token", length=32)
    assert Keyring(["a secret"]).keys("refresh-token") == (expected,)


def test_each_purpose_and_each_secret_has_a_key_of_its_own() -> None:
    ring = Keyring(["new", "old"])
    keys = [key for purpose in ("a", "b", "ab", "") for key in ring.keys(purpose)]
    assert len(set(keys)) == 8
    assert {len(key) for key in keys} == {32}


def test_the_newest_secret_comes_first() -> None:
    assert Keyring(["new", "old"]).keys("a") == (
        *Keyring(["new"]).keys("a"),
        *Keyring(["old"]).keys("a"),
    )


def test_a_mac_is_made_with_the_newest_secret_of_its_purpose() -> None:
    ring = Keyring(["new", "old"])
    expected = hmac.digest(ring.keys("throttle")[0], b"message", "sha256")
    assert ring.mac("throttle", b"message") == expected
    assert ring.mac("link", b"message") != expected


# Sealing


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_what_was_sealed_opens_again(plaintext: bytes, context: bytes) -> None:
    ring = Keyring([SECRET])
    sealed = ring.encrypt("seal", plaintext, context=context)
    assert ring.decrypt("seal", sealed, context=context) == plaintext


def test_the_same_text_is_never_sealed_alike() -> None:
    ring = Keyring([SECRET])
    sealed = {ring.encrypt("seal", b"text", context=CONTEXT) for _ in range(100)}
    assert len(sealed) == 100
    assert len({each[:12] for each in sealed}) == 100, "a nonce must never come twice"


def test_it_opens_in_its_own_context_alone() -> None:
    """A sealed key that was copied into another row stays shut."""
    ring = Keyring([SECRET])
    sealed = ring.encrypt("seal", b"text", context=CONTEXT)
    for other in (b"", b"another row", CONTEXT + b"\x00"):
        with pytest.raises(UndecryptableError):
            ring.decrypt("seal", sealed, context=other)


def test_it_opens_for_its_own_purpose_alone() -> None:
    ring = Keyring([SECRET])
    sealed = ring.encrypt("seal", b"text", context=CONTEXT)
    with pytest.raises(UndecryptableError):
        ring.decrypt("other", sealed, context=CONTEXT)


def test_no_change_goes_unnoticed() -> None:
    ring = Keyring([SECRET])
    sealed = ring.encrypt("seal", b"text", context=CONTEXT)
    changed = [
        sealed[:position] + bytes([sealed[position] ^ bit]) + sealed[position + 1 :]
        for position in range(len(sealed))
        for bit in (1, 128)
    ]
    shortened = [sealed[:length] for length in range(len(sealed))]
    for damaged in (*changed, *shortened, sealed + b"\x00"):
        with pytest.raises(UndecryptableError):
            ring.decrypt("seal", damaged, context=CONTEXT)


def test_a_fallback_opens_what_it_sealed() -> None:
    sealed = Keyring(["old"]).encrypt("seal", b"text", context=CONTEXT)
    ring = Keyring(["new", "older", "old"])
    assert ring.decrypt("seal", sealed, context=CONTEXT) == b"text"


def test_new_seals_need_no_fallback() -> None:
    sealed = Keyring(["new", "old"]).encrypt("seal", b"text", context=CONTEXT)
    assert Keyring(["new"]).decrypt("seal", sealed, context=CONTEXT) == b"text"
    with pytest.raises(UndecryptableError):
        Keyring(["old"]).decrypt("seal", sealed, context=CONTEXT)


# The rest


def test_a_digest_is_sha256() -> None:
    assert digest(b"secret") == hashlib.sha256(b"secret").digest()


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [(b"a", b"a", True), (b"a", b"b", False), (b"a", b"aa", False), (b"", b"", True)],
)
def test_it_compares(left: bytes, right: bytes, expected: bool) -> None:
    assert is_equal(left, right) is expected


def test_random_bytes_are_as_many_as_asked_for_and_never_the_same() -> None:
    assert [len(random_bytes()), len(random_bytes(32))] == [16, 32]
    assert len({random_bytes() for _ in range(1000)}) == 1000


def test_a_keyring_reveals_no_secret() -> None:
    ring = Keyring([SECRET])
    ring.keys("seal")
    assert SECRET not in f"{ring!r} {ring}"


@pytest.mark.usefixtures("core_context")
def test_the_application_has_one() -> None:
    assert KEYRING.get().keys("a") == Keyring([SECRET]).keys("a")
