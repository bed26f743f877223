"""Argon2id by libsodium: the same hashes as other libraries, and refusal of bad parameters."""

import subprocess
import sys
from pathlib import Path

import argon2
import pytest

import config
from authserve.passwords.argon2id import Argon2id
from authserve.passwords.foreign_hashes import parse_hash
from authserve.settings.model import PasswordCost
from tests.support.hashing import argon2_asked, sodium_asked

HASHER = Argon2id(PasswordCost(memory_kib=16, time_cost=2))
REFERENCE = argon2.PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)

SECRETS = [b"", b"a password", "Ärgerné 🐎".encode(), b"NUL \x00", b"a" * 4096]


@pytest.mark.parametrize("secret", SECRETS)
def test_the_reference_verifies_what_it_hashed(secret: bytes) -> None:
    assert REFERENCE.verify(HASHER.hash(secret), secret)


@pytest.mark.parametrize("secret", SECRETS)
def test_it_verifies_what_the_reference_hashed(secret: bytes) -> None:
    stored = REFERENCE.hash(secret)
    with sodium_asked() as (checked, _):
        assert HASHER.verify(secret, stored)
        assert not HASHER.verify(secret[:-1] or b"!", stored)
    assert len(checked) == 2


@pytest.mark.parametrize(
    "made_by",
    [
        argon2.PasswordHasher(time_cost=2, memory_cost=16, parallelism=2),
        argon2.PasswordHasher(time_cost=1, memory_cost=16, parallelism=1),
        argon2.PasswordHasher(time_cost=2, memory_cost=8, parallelism=1),
        argon2.PasswordHasher(time_cost=2, memory_cost=16, parallelism=1, salt_len=8),
        argon2.PasswordHasher(time_cost=2, memory_cost=16, parallelism=1, hash_len=64),
        argon2.PasswordHasher(time_cost=2, memory_cost=16, parallelism=1, type=argon2.Type.I),
        argon2.PasswordHasher(time_cost=2, memory_cost=16, parallelism=1, type=argon2.Type.D),
    ],
    ids=["lanes", "passes", "memory", "short salt", "long tag", "Argon2i", "Argon2d"],
)
def test_hashes_of_other_parameters_are_not_its_own(made_by: argon2.PasswordHasher) -> None:
    stored = made_by.hash(b"a password")
    assert not HASHER.is_current(stored)
    with sodium_asked() as (checked, _), pytest.raises(ValueError, match="other parameters"):
        HASHER.verify(b"a password", stored)
    assert checked == []


def test_more_lanes_than_libsodium_has_are_refused() -> None:
    with pytest.raises(ValueError, match="one lane"):
        Argon2id(PasswordCost(parallelism=2))


def test_hashes_are_counted_whichever_library_computes_them() -> None:
    foreign = argon2.PasswordHasher(time_cost=1, memory_cost=16, parallelism=2).hash(b"a password")
    with argon2_asked() as (checked, made):
        HASHER.verify(b"a password", HASHER.hash(b"a password"))
        parse_hash(foreign).check(b"a password")
    assert made == ["$argon2id$v=19$m=16,t=2,p=1"]
    assert checked == ["$argon2id$v=19$m=16,t=2,p=1", "$argon2id$v=19$m=16,t=1,p=2"]


def test_a_worker_carries_no_other_library_for_passwords() -> None:
    program = """
import sys
import authserve.passwords.hasher
print([name for name in ("passlib", "argon2", "bcrypt") if name in sys.modules])
"""
    assert run(program) == "[]\n"


def run(program: str) -> str:
    """Run a program in a process of its own and return its output."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(config.ROOT),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


HASH = """
from authserve.passwords.hasher import PasswordHasher
from authserve.settings.model import PasswordCost

def resident_kib():
    return int(open("/proc/self/statm").read().split()[1]) * 4

cheap, dear = (
    PasswordHasher(cost=cost, niceness=0, queue_size=8)
    for cost in (PasswordCost(memory_kib=8), PasswordCost())
)
stored = cheap.hash("correct horse battery staple")
cheap.verify("correct horse battery staple", stored)
before = resident_kib()
for _ in range(3):
    dear.verify("correct horse battery staple", dear.hash("correct horse battery staple"))
print(resident_kib() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports memory in /proc")
def test_a_hash_gives_its_memory_back() -> None:
    assert int(run(HASH)) < PasswordCost().memory_kib / 4


STARVE = """
import resource
from authserve.passwords.queue import HasherBusyError
from authserve.passwords.hasher import PasswordHasher
from authserve.settings.model import PasswordCost

cheap, dear = (
    PasswordHasher(cost=cost, niceness=0, queue_size=8)
    for cost in (PasswordCost(memory_kib=8), PasswordCost(memory_kib=1024 * 1024))
)
stored = dear.hash("correct horse battery staple")
assert cheap.hash("correct horse battery staple")
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 512 * 1024 * 1024, resource.RLIM_INFINITY))
for attempt in (
    lambda: dear.hash("correct horse battery staple"),
    lambda: dear.verify("correct horse battery staple", stored),
):
    try:
        attempt()
    except HasherBusyError:
        print("busy")
assert cheap.hash("correct horse battery staple")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports memory in /proc")
def test_without_memory_for_a_hash_the_caller_gets_busy() -> None:
    assert run(STARVE).split() == ["busy", "busy"]
