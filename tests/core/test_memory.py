"""What hashing takes of the system's memory, and gives back."""

import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest

import config
from authserve.core.passwords import PasswordHasher
from authserve.core.settings import PasswordCost

HASH_AND_REST = """
import ctypes, sys, time
from authserve.core.hashing_queue import REST_SECS
from authserve.core.memory import keep_one_arena
from authserve.core.passwords import PasswordHasher
from authserve.core.settings import PasswordCost

def resident_mib():
    return int(open("/proc/self/statm").read().split()[1]) * 4 // 1024

if not hasattr(ctypes.CDLL(None), "malloc_trim"):
    sys.exit("not glibc")
keep_one_arena()
hasher = PasswordHasher(cost=PasswordCost(), niceness=0, queue_size=8)
for _ in range(3):
    hasher.hash("correct horse battery staple")
hashed, give_up = resident_mib(), time.monotonic() + 120
while resident_mib() > hashed - 15 and time.monotonic() < give_up:
    time.sleep(0.1)
print(hashed - resident_mib())
"""


def test_a_hash_does_not_fail_for_want_of_a_thread_that_gives_memory_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_timer: Timer) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Timer, "start", refuse)
    hasher = PasswordHasher(cost=PasswordCost(memory_kib=8, time_cost=1), niceness=0, queue_size=8)
    for _ in range(2):
        assert hasher.verify("a password", hasher.hash("a password")).is_valid


def test_memory_goes_back_when_nobody_hashes_any_more() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HASH_AND_REST],
        cwd=Path(config.ROOT),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.stderr.strip() == "not glibc":
        pytest.skip("only glibc's malloc can be told to give memory back")
    assert done.returncode == 0, done.stderr
    # Of the 19 MiB of one hash.
    assert int(done.stdout) >= 15
