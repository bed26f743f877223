"""Hashes of other systems: one real example for each format, made by its own library."""

import json
from pathlib import Path

import pytest

from authserve.core.passwords import PasswordHasher
from authserve.core.settings import PasswordCost
from authserve.transfer.errors import UnusableRowError
from authserve.transfer.policy import usable_hash

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/password_hashes.json").read_text())
CHEAP = PasswordCost(memory_kib=8, time_cost=1)


@pytest.fixture(scope="module")
def hasher() -> PasswordHasher:
    return PasswordHasher(cost=CHEAP, niceness=0, queue_size=4)


@pytest.mark.parametrize("name", VECTORS["hashes"])
def test_it_verifies_and_replaces_a_real_hash(name: str, hasher: PasswordHasher) -> None:
    stored = usable_hash(VECTORS["hashes"][name])

    verification = hasher.verify(VECTORS["password"], stored)

    assert verification.is_valid
    assert verification.replacement_hash is not None
    assert verification.replacement_hash.startswith("$argon2id$")
    assert not hasher.verify("another password", stored).is_valid


@pytest.mark.parametrize("raw", [None, "", "!", "!kYz9Qx"])
def test_it_knows_accounts_without_a_password(raw: str | None) -> None:
    assert usable_hash(raw) is None


EXPENSIVE = [
    "$argon2id$v=19$m=65537,t=1,p=1$c2FsdHNhbHQ$dGFndGFndGFn",
    "$argon2id$v=19$m=65536,t=9,p=1$c2FsdHNhbHQ$dGFndGFndGFn",
    "$2b$14$" + "a" * 53,
    "pbkdf2_sha256$2000001$salt$dGFn",
    "pbkdf2:sha512:1000001$salt$" + "ab" * 64,
    "scrypt:131072:8:1$salt$" + "ab" * 64,
    "scrypt$65536$salt$16$1$" + "A" * 88,
    "$6$rounds=1000001$salt$" + "a" * 86,
]


@pytest.mark.parametrize("raw", EXPENSIVE)
def test_it_refuses_what_costs_too_much(raw: str) -> None:
    with pytest.raises(UnusableRowError, match="costs more"):
        usable_hash(raw)


@pytest.mark.parametrize(
    "raw",
    [
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "plain text",
        "sha1$salt$5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8",
        "scrypt:1000:8:1$salt$" + "ab" * 64,
        "scrypt:1024:8:1$salt$abc",
        "pbkdf2:sha256:1000$salt$abc",
        "$2b$12$tooshort",
        "$argon2id$v=19$m=1024,t=1,p=1$x",
        "pbkdf2:sha256:1000$" + "s" * 300 + "$" + "ab" * 32,
    ],
)
def test_it_refuses_other_and_damaged_formats(raw: str) -> None:
    with pytest.raises(UnusableRowError, match="password_hash: "):
        usable_hash(raw)


def test_it_never_repeats_a_hash() -> None:
    with pytest.raises(UnusableRowError) as caught:
        usable_hash(EXPENSIVE[0])
    assert "c2FsdHNhbHQ" not in str(caught.value)
