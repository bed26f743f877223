"""Hashes at the import: the stored form, none, or a reason."""

import pytest

from authserve.passwords.hasher import PasswordHasher
from authserve.settings.model import PasswordCost
from authserve.transfer.rows import UnusableRowError, usable_hash
from tests.passwords.test_foreign_hashes import EXPENSIVE, REAL, VECTORS

CHEAP = PasswordCost(memory_kib=8, time_cost=1)


@pytest.fixture(scope="module")
def hasher() -> PasswordHasher:
    return PasswordHasher(cost=CHEAP, niceness=0, queue_size=4)


@pytest.mark.parametrize("name", REAL)
def test_it_verifies_and_replaces_a_real_hash(name: str, hasher: PasswordHasher) -> None:
    password, raw = REAL[name]

    verification = hasher.verify(password, usable_hash(raw))

    assert verification.is_valid
    assert verification.replacement_hash is not None
    assert verification.replacement_hash.startswith("$argon2id$v=19$m=8,")


@pytest.mark.parametrize("raw", [None, "", "!", "!kYz9Qx"])
def test_it_knows_accounts_without_a_password(raw: str | None) -> None:
    assert usable_hash(raw) is None


def test_it_names_the_cause_without_the_hash() -> None:
    with pytest.raises(UnusableRowError) as caught:
        usable_hash(EXPENSIVE[0])
    assert str(caught.value) == "password_hash: costs more than a second or 128 MiB to check"


def test_flask_security_verifies_with_the_hashers_salt() -> None:
    vectors = VECTORS["flask_security"]
    hasher = PasswordHasher(
        cost=CHEAP, niceness=0, queue_size=4, flask_security_salt=vectors["salt"]
    )
    raw = "$flask-security$" + vectors["hashes"]["pbkdf2_sha512"]

    stored = usable_hash(raw, flask_security_salt=vectors["salt"])

    assert hasher.verify(vectors["password"], stored).is_valid
    with pytest.raises(UnusableRowError, match="FLASK_SECURITY_SALT"):
        usable_hash(raw)
