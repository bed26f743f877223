"""Hashing: verification, rehashing, the queue, and the thread that hashes."""

import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from contextvars import ContextVar, copy_context
from pathlib import Path
from typing import Any

import argon2
import click
import passlib.hash
import pytest
from flask import Flask

from authserve.app import create_app
from authserve.core.clock import arrived_at
from authserve.core.errors import UnavailableError
from authserve.passwords.hasher import (
    PASSWORD_HASHER,
    PasswordHasher,
    Verification,
)
from authserve.passwords.queue import MAX_WAIT_SECS, HasherBusyError
from authserve.settings.model import PasswordCost
from tests.conftest import make_settings
from tests.support.crowd import DEADLINE_SECS, persistently
from tests.support.hashing import argon2_asked

CHEAP = PasswordCost(memory_kib=8, time_cost=1)
"""Argon2's minimum for one lane (RFC 9106 §3.1)."""

PASSWORD = "Tr0ub4dor&3"
OWN_PRIORITY = os.getpriority(os.PRIO_PROCESS, 0) if sys.platform == "linux" else 0
"""Process priority, read before any hasher of these tests could have changed it."""


def make_hasher(cost: PasswordCost = CHEAP, *, queue_size: int = 16) -> PasswordHasher:
    # With a niceness, other work on the machine might take the whole time of a caller's wait.
    return PasswordHasher(cost=cost, niceness=0, queue_size=queue_size)


@pytest.fixture
def hasher() -> PasswordHasher:
    return make_hasher()


@pytest.fixture
def argon2_checks() -> Iterator[list[str]]:
    """The parameters of every hash that Argon2 was really asked to check."""
    with argon2_asked() as (checks, _):
        yield checks


def test_it_verifies_the_right_password(hasher: PasswordHasher) -> None:
    assert hasher.verify(PASSWORD, hasher.hash(PASSWORD)) == Verification(True, None)


def test_it_refuses_a_wrong_password(hasher: PasswordHasher) -> None:
    stored = hasher.hash(PASSWORD)
    for wrong in (PASSWORD.lower(), f"{PASSWORD} ", PASSWORD[:-1], ""):
        assert hasher.verify(wrong, stored) == Verification(False, None)


def test_the_default_cost_is_owasps_minimum() -> None:
    stored = make_hasher(PasswordCost()).hash(PASSWORD)
    # 22 and 43 characters of base64 are the 16 bytes of salt and 32 of tag.
    assert re.fullmatch(r"\$argon2id\$v=19\$m=19456,t=2,p=1\$[^$]{22}\$[^$]{43}", stored)


def test_a_hash_has_the_cost_that_was_asked_for() -> None:
    stored = make_hasher(PasswordCost(memory_kib=16, time_cost=3)).hash(PASSWORD)
    assert stored.startswith("$argon2id$v=19$m=16,t=3,p=1$")


def test_every_hash_has_its_own_salt(hasher: PasswordHasher) -> None:
    assert hasher.hash(PASSWORD) != hasher.hash(PASSWORD)


def test_all_256_code_points_count(hasher: PasswordHasher) -> None:
    longest = "🐎" * 255
    stored = hasher.hash(f"{longest}a")
    assert hasher.verify(f"{longest}a", stored).is_valid
    assert not hasher.verify(f"{longest}b", stored).is_valid


CHEAP_PARAMETERS = "$argon2id$v=19$m=8,t=1,p=1"


def test_no_hash_costs_the_same_work_as_a_wrong_password(
    hasher: PasswordHasher, argon2_checks: list[str]
) -> None:
    stored = hasher.hash(PASSWORD)
    assert hasher.verify("wrong", stored) == hasher.verify("wrong", None) == Verification(False)
    assert argon2_checks == [CHEAP_PARAMETERS, CHEAP_PARAMETERS]


def test_no_hash_costs_what_the_settings_say(argon2_checks: list[str]) -> None:
    make_hasher(PasswordCost()).verify(PASSWORD, None)
    assert argon2_checks == ["$argon2id$v=19$m=19456,t=2,p=1"]


@pytest.mark.parametrize("password", ["", "a" * 5000, "NUL \x00", "\ud800", "e\u0301" * 600])
def test_no_password_makes_it_fail(
    hasher: PasswordHasher, argon2_checks: list[str], password: str
) -> None:
    bcrypt_hash = passlib.hash.bcrypt.using(rounds=4).hash(PASSWORD)
    for stored in (None, hasher.hash(PASSWORD), bcrypt_hash):
        assert hasher.verify(password, stored) == Verification(False)
    assert set(argon2_checks) == {CHEAP_PARAMETERS}


SALT_AND_TAG = "c2FsdHNhbHRzYWx0c2FsdA$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "!",
        PASSWORD,
        "\ud800",
        "$argon2id$",
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA",
        "$argon2id$v=19$m=4294967295,t=1,p=1$" + SALT_AND_TAG,
        "$argon2id$v=19$m=65536,t=1,p=4000$" + SALT_AND_TAG,
        "$argon2id$v=19$m=8,t=1,p=1,keyid=ab$" + SALT_AND_TAG,
        "$argon2id$v=19$m=8,t=1,p=1,data=*WJj$" + SALT_AND_TAG,
        "$argon2id$v=19$m=8,t=1,p=1$" + SALT_AND_TAG + "é",
        "$2b$04$short",
        "$scrypt$Zln=1,r=8,p=1$sJayNibEOEfIOSektFZqTQ$e",
    ],
)
def test_a_malformed_hash_is_wrong_costs_the_same_and_is_logged_without_the_hash(
    hasher: PasswordHasher,
    argon2_checks: list[str],
    caplog: pytest.LogCaptureFixture,
    malformed: str,
) -> None:
    assert hasher.verify(PASSWORD, malformed) == Verification(False)
    assert argon2_checks[-1] == CHEAP_PARAMETERS
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.exc_info is None
    assert re.fullmatch(
        r"A stored password hash (is malformed \(\w+Error\)|cannot be verified: [\w, ()-]+)\.",
        record.getMessage(),
    )
    assert not malformed or malformed not in record.getMessage()


def test_a_wrong_password_is_not_logged_as_a_malformed_hash(
    hasher: PasswordHasher, caplog: pytest.LogCaptureFixture
) -> None:
    bcrypt_hash = passlib.hash.bcrypt.using(rounds=4).hash(PASSWORD)
    for wrong in ("wrong", "NUL \x00", "a" * 73):
        hasher.verify(wrong, bcrypt_hash)
    assert caplog.records == []


@pytest.mark.parametrize(
    "older",
    [
        {"memory_cost": 16},
        {"time_cost": 2},
        {"memory_cost": 16, "parallelism": 2},
        {"salt_len": 8},
        {"hash_len": 64},
        {"type": argon2.Type.I},
        {"type": argon2.Type.D},
    ],
    ids=str,
)
def test_the_right_password_replaces_a_hash_of_other_parameters(
    hasher: PasswordHasher, older: dict[str, Any]
) -> None:
    cost = {"memory_cost": 8, "time_cost": 1, "parallelism": 1, **older}
    assert_it_is_replaced(hasher, argon2.PasswordHasher(**cost).hash(PASSWORD))


FOREIGN = {
    "bcrypt": 4,
    "django_pbkdf2_sha256": 1,
    "pbkdf2_sha256": 1,
    "scrypt": 1,
    "sha512_crypt": 1000,
    "sha256_crypt": 1000,
}
"""Each format that accounts may be imported with, and its fewest rounds."""


@pytest.mark.parametrize("scheme", FOREIGN)
def test_the_right_password_replaces_a_hash_of_another_format(
    hasher: PasswordHasher, scheme: str
) -> None:
    stored = getattr(passlib.hash, scheme).using(rounds=FOREIGN[scheme]).hash(PASSWORD)
    assert_it_is_replaced(hasher, stored)


def assert_it_is_replaced(hasher: PasswordHasher, stored: str) -> None:
    assert hasher.verify("wrong", stored) == Verification(False)
    verification = hasher.verify(PASSWORD, stored)
    assert verification.is_valid
    assert verification.replacement_hash is not None
    assert verification.replacement_hash.startswith(f"{CHEAP_PARAMETERS}$")
    assert hasher.verify(PASSWORD, verification.replacement_hash) == Verification(True)


def test_bcrypt_compares_72_bytes_and_the_replacement_all_of_them(hasher: PasswordHasher) -> None:
    stored = passlib.hash.bcrypt.using(rounds=4).hash("a" * 72)
    assert hasher.verify("a" * 71, stored) == Verification(False)
    assert hasher.verify("a" * 71 + "é", stored) == Verification(False)
    verification = hasher.verify("a" * 73, stored)
    assert verification.is_valid
    assert verification.replacement_hash is not None
    assert hasher.verify("a" * 73, verification.replacement_hash).is_valid
    assert not hasher.verify("a" * 72, verification.replacement_hash).is_valid


class BlockableHasher(PasswordHasher):
    """A hasher whose work begins only when `gate` opens, and that records its thread."""

    def __init__(self, *, queue_size: int, max_wait_secs: float, niceness: int = 0) -> None:
        super().__init__(
            cost=CHEAP, niceness=niceness, queue_size=queue_size, max_wait_secs=max_wait_secs
        )
        self.gate = threading.Event()
        self.has_begun = threading.Event()
        self.worker_threads: set[int] = set()
        self.priorities: set[int] = set()

    def _hash_secret(self, secret: bytes) -> str:
        self.has_begun.set()
        assert self.gate.wait(DEADLINE_SECS)
        self.worker_threads.add(threading.get_native_id())
        if sys.platform == "linux":
            self.priorities.add(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return super()._hash_secret(secret)


def hash_password(hasher: PasswordHasher, *, is_known: bool) -> object:
    return hasher.hash(PASSWORD, is_known_caller=is_known)


def verify_nothing(hasher: PasswordHasher, *, is_known: bool) -> object:
    return hasher.verify(PASSWORD, None, is_known_caller=is_known)


class Crowd:
    """Callers of a blocked hasher, each in a thread of its own."""

    def __init__(self, hasher: BlockableHasher, threads: ThreadPoolExecutor) -> None:
        self._hasher = hasher
        self._threads = threads

    def send(
        self, count: int, *, are_known: bool = False, call: Callable[..., object] = hash_password
    ) -> list[Future[object]]:
        """Start `count` callers, and come back when all of them have their place."""
        expected = self._hasher.waiting + count
        callers = [
            self._threads.submit(call, self._hasher, is_known=are_known) for _ in range(count)
        ]
        wait_until(lambda: self._hasher.waiting == expected)
        return callers


def wait_until(is_so: Callable[[], bool]) -> None:
    give_up = time.monotonic() + DEADLINE_SECS
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.001)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=32) as executor:
        yield executor


@pytest.fixture
def blocked(threads: ThreadPoolExecutor) -> Iterator[BlockableHasher]:
    """A blocked hasher with 8 places, whose callers wait until the test opens the gate."""
    hasher = BlockableHasher(queue_size=8, max_wait_secs=DEADLINE_SECS)
    yield hasher
    # Before `threads` ends, which waits for the callers.
    hasher.gate.set()


@pytest.fixture
def crowd(threads: ThreadPoolExecutor, blocked: BlockableHasher) -> Crowd:
    return Crowd(blocked, threads)


def test_all_callers_share_one_hashing_thread(blocked: BlockableHasher, crowd: Crowd) -> None:
    callers = crowd.send(6)
    blocked.gate.set()
    assert len({caller.result() for caller in callers}) == 6
    assert len(blocked.worker_threads) == 1
    assert threading.get_native_id() not in blocked.worker_threads


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a niceness per thread")
def test_the_hashing_thread_alone_is_niced() -> None:
    # The highest niceness is never refused, however nice the test run itself is.
    hasher = BlockableHasher(queue_size=8, max_wait_secs=DEADLINE_SECS, niceness=19)
    hasher.gate.set()
    assert hasher.hash(PASSWORD)
    assert hasher.priorities == {19}
    assert os.getpriority(os.PRIO_PROCESS, 0) == OWN_PRIORITY


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a niceness per thread")
@pytest.mark.parametrize(("is_command", "niceness"), [(True, OWN_PRIORITY), (False, 19)])
def test_a_command_yields_to_no_other_process(
    tmp_path: Path, *, is_command: bool, niceness: int
) -> None:
    found = set()
    hasher = hasher_of_service(tmp_path, is_command=is_command)
    hasher.on_hashed = lambda _: found.add(
        os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    )
    persistently(lambda: hasher.hash(PASSWORD))
    assert found == {niceness}


def test_a_command_waits_longer_than_a_request(tmp_path: Path) -> None:
    def hash_late(hasher: PasswordHasher) -> str:
        arrived_at.set(time.monotonic() - MAX_WAIT_SECS)
        return hasher.hash(PASSWORD)

    assert copy_context().run(hash_late, hasher_of_service(tmp_path, is_command=True))
    with pytest.raises(HasherBusyError):
        copy_context().run(hash_late, hasher_of_service(tmp_path, is_command=False))


def hasher_of_service(folder: Path, *, is_command: bool) -> PasswordHasher:
    """Return the hasher of an application that a `flask` command or a server has made."""
    settings = make_settings(f"sqlite:///{folder}/unused.db", folder, hash_niceness=19)
    with click.Context(click.Command("flask")) if is_command else nullcontext():
        return PASSWORD_HASHER.of(create_app(settings))


def test_a_refused_niceness_does_not_stop_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", refuse)
    assert make_hasher().hash(PASSWORD)


def test_it_starts_no_thread_before_the_first_password() -> None:
    before = set(threading.enumerate())
    assert make_hasher().waiting == 0
    assert set(threading.enumerate()) <= before


def test_callers_beyond_the_queue_get_busy_at_once(blocked: BlockableHasher, crowd: Crowd) -> None:
    callers = crowd.send(6) + crowd.send(2, are_known=True)
    for is_known in (False, True):
        with pytest.raises(HasherBusyError):
            blocked.hash(PASSWORD, is_known_caller=is_known)
        with pytest.raises(HasherBusyError):
            blocked.verify(PASSWORD, None, is_known_caller=is_known)
    assert blocked.waiting == 8
    blocked.gate.set()
    assert all(caller.result() for caller in callers)
    assert blocked.waiting == 0


def test_a_quarter_of_the_queue_is_kept_for_known_callers(
    blocked: BlockableHasher, crowd: Crowd
) -> None:
    crowd.send(6)
    with pytest.raises(HasherBusyError):
        blocked.hash(PASSWORD)
    with pytest.raises(HasherBusyError):
        blocked.verify(PASSWORD, None)
    crowd.send(1, are_known=True)
    crowd.send(1, are_known=True, call=verify_nothing)
    with pytest.raises(HasherBusyError):
        blocked.hash(PASSWORD, is_known_caller=True)


def test_known_callers_may_fill_the_whole_queue(blocked: BlockableHasher, crowd: Crowd) -> None:
    crowd.send(8, are_known=True)
    with pytest.raises(HasherBusyError):
        blocked.hash(PASSWORD, is_known_caller=True)


def test_known_callers_leave_strangers_their_part(blocked: BlockableHasher, crowd: Crowd) -> None:
    crowd.send(5, are_known=True)
    crowd.send(3)
    assert blocked.waiting == 8


def from_network(network: str) -> Callable[..., object]:
    def call(hasher: PasswordHasher, *, is_known: bool) -> object:
        return hasher.hash(PASSWORD, is_known_caller=is_known, network=network)

    return call


def is_refused(hasher: PasswordHasher, network: str, *, is_known: bool = False) -> bool:
    """Return True if a further caller of this network gets `busy`."""
    try:
        hasher.hash(PASSWORD, is_known_caller=is_known, network=network)
    except HasherBusyError:
        return True
    return False


def test_one_network_holds_no_more_places_than_are_free(
    blocked: BlockableHasher, crowd: Crowd
) -> None:
    """Of eight places a stranger's network takes three of six, and one of known devices four."""
    crowd.send(3, call=from_network("192.0.2.1"))
    assert is_refused(blocked, "192.0.2.1")
    crowd.send(1, call=from_network("192.0.2.1"), are_known=True)
    assert is_refused(blocked, "192.0.2.1", is_known=True)


def test_without_limits_one_network_may_fill_the_queue(
    blocked: BlockableHasher, crowd: Crowd
) -> None:
    blocked._limits_networks = False
    crowd.send(6, call=from_network("192.0.2.1"))
    assert is_refused(blocked, "192.0.2.1")


def test_two_networks_of_strangers_leave_room_for_a_third(
    blocked: BlockableHasher, crowd: Crowd
) -> None:
    crowd.send(3, call=from_network("192.0.2.1"))
    crowd.send(1, call=from_network("192.0.2.2"))
    assert is_refused(blocked, "192.0.2.1")
    crowd.send(1, call=from_network("192.0.2.3"))


def test_one_network_of_known_devices_leaves_room_in_the_reserve(
    blocked: BlockableHasher, crowd: Crowd
) -> None:
    """Strangers from many networks have filled their part; one network does not fill the rest."""
    for number in range(6):
        crowd.send(1, call=from_network(f"192.0.2.{number}"))
    assert is_refused(blocked, "198.51.100.1")
    crowd.send(1, call=from_network("203.0.113.1"), are_known=True)
    assert is_refused(blocked, "203.0.113.1", is_known=True)
    crowd.send(1, call=from_network("203.0.113.2"), are_known=True)


def test_the_places_of_a_network_are_free_again_afterwards(
    blocked: BlockableHasher, crowd: Crowd
) -> None:
    callers = crowd.send(3, call=from_network("192.0.2.1"))
    blocked.gate.set()
    for caller in callers:
        caller.result()
    assert not is_refused(blocked, "192.0.2.1")
    assert blocked.waiting == 0


def test_a_place_is_free_again_afterwards(blocked: BlockableHasher, crowd: Crowd) -> None:
    callers = crowd.send(6)
    blocked.gate.set()
    assert all(caller.result() for caller in callers)
    assert blocked.hash(PASSWORD)
    assert blocked.waiting == 0


def test_a_place_is_free_again_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = make_hasher(queue_size=1)

    def fail(_: bytes) -> str:
        raise LookupError

    with monkeypatch.context() as broken:
        broken.setattr(hasher, "_hash_secret", fail)
        with pytest.raises(LookupError):
            hasher.hash(PASSWORD)
    assert hasher.hash(PASSWORD)


def test_a_queue_of_one_serves_strangers() -> None:
    assert make_hasher(queue_size=1).hash(PASSWORD)


def test_a_queue_without_places_is_refused() -> None:
    with pytest.raises(ValueError, match="queue_size"):
        make_hasher(queue_size=0)


@pytest.fixture
def impatient() -> BlockableHasher:
    """A blocked hasher whose callers do not wait long for their turn."""
    return BlockableHasher(queue_size=8, max_wait_secs=0.1)


@pytest.fixture
def running(impatient: BlockableHasher, threads: ThreadPoolExecutor) -> Iterator[Future[str]]:
    """A caller whose password is being hashed, until the test opens the gate."""
    yield start_hashing(impatient, threads)
    impatient.gate.set()


def start_hashing(impatient: BlockableHasher, threads: ThreadPoolExecutor) -> Future[str]:
    """Start a caller, and another if it gets `busy` before the hashing thread has its turn."""
    while True:
        caller = threads.submit(impatient.hash, PASSWORD)
        wait_until(lambda caller=caller: impatient.has_begun.is_set() or caller.done())
        if impatient.has_begun.is_set():
            return caller


def test_callers_not_served_in_time_get_busy(
    impatient: BlockableHasher, running: Future[str]
) -> None:
    with pytest.raises(HasherBusyError):
        impatient.hash(PASSWORD)
    with pytest.raises(HasherBusyError):
        impatient.verify(PASSWORD, None, is_known_caller=True)
    assert impatient.waiting == 1


def test_work_that_has_begun_is_awaited_past_the_time(
    impatient: BlockableHasher, running: Future[str]
) -> None:
    # When these two have got `busy`, the time of the one before them is over as well.
    for _ in range(2):
        with pytest.raises(HasherBusyError):
            impatient.hash(PASSWORD)
    assert not running.done()
    impatient.gate.set()
    assert running.result().startswith(CHEAP_PARAMETERS)


def test_work_that_was_given_up_is_never_done(
    impatient: BlockableHasher, running: Future[str], argon2_checks: list[str]
) -> None:
    with pytest.raises(HasherBusyError):
        impatient.verify(PASSWORD, None)
    impatient.gate.set()
    assert running.result()
    # One thread works in order: with this one done, the one given up has had its turn.
    assert persistently(lambda: impatient.hash(PASSWORD))
    assert argon2_checks == []


def test_what_a_request_has_waited_before_is_part_of_its_wait(hasher: PasswordHasher) -> None:
    def in_a_request_of(age_secs: float) -> str:
        arrived_at.set(time.monotonic() - age_secs)
        return hasher.hash(PASSWORD)

    assert copy_context().run(in_a_request_of, 0)
    with pytest.raises(HasherBusyError):
        copy_context().run(in_a_request_of, MAX_WAIT_SECS)
    assert hasher.waiting == 0


def test_callers_wait_two_seconds_by_default() -> None:
    assert MAX_WAIT_SECS == 2.0


def test_log_lines_carry_the_callers_context(
    hasher: PasswordHasher, caplog: pytest.LogCaptureFixture
) -> None:
    correlation_id = ContextVar("correlation_id", default="none")
    seen: list[str] = []

    def note(_: logging.LogRecord) -> bool:
        seen.append(correlation_id.get())
        return True

    caplog.handler.addFilter(note)
    correlation_id.set("request-1")
    hasher.verify(PASSWORD, "malformed")
    assert seen == ["request-1"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_it_works_in_a_process_forked_while_its_queue_is_full(
    blocked: BlockableHasher, crowd: Crowd
) -> None:
    crowd.send(8, are_known=True)
    stored = make_hasher().hash(PASSWORD)

    def serves_the_child() -> bool:
        return blocked.waiting == 0 and blocked.verify(PASSWORD, stored).is_valid

    assert is_true_in_child(serves_the_child)
    assert blocked.waiting == 8


def is_true_in_child(check: Callable[[], bool]) -> bool:
    pid = os.fork()
    if pid == 0:
        # In every case the child must not continue the parent's test run.
        try:
            os._exit(0 if check() else 1)
        finally:
            os._exit(2)
    killer = threading.Timer(DEADLINE_SECS, os.kill, (pid, signal.SIGKILL))
    killer.start()
    _, status = os.waitpid(pid, 0)
    killer.cancel()
    return os.waitstatus_to_exitcode(status) == 0


def test_busy_is_a_kind_of_unavailable() -> None:
    error = HasherBusyError()
    assert isinstance(error, UnavailableError)
    assert error.code == "busy"
    assert error.detail == "Too many passwords are being checked right now. Try again shortly."


def test_the_running_applications_hasher_is_found(hasher: PasswordHasher) -> None:
    app = Flask(__name__)
    PASSWORD_HASHER.fill(app, hasher)
    with app.app_context():
        assert PASSWORD_HASHER.get() is hasher


def test_it_measures_the_time_of_each_password() -> None:
    told: list[float] = []
    hasher = PasswordHasher(cost=CHEAP, niceness=0, queue_size=4)
    hasher.on_hashed = told.append
    stored = hasher.hash(PASSWORD)
    hasher.verify(PASSWORD, stored)
    hasher.verify(PASSWORD, None)
    assert len(told) == 3
    assert min(told) > 0
