"""Identifiers grow with time, in every thread, and no two are the same."""

import os
from itertools import pairwise
from uuid import UUID

from authserve.core.ids import new_id
from tests.support.crowd import all_at_once


def test_it_is_a_version_7_uuid() -> None:
    made = new_id()
    assert type(made) is UUID
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"


def test_each_is_greater_than_the_one_before() -> None:
    made = [new_id() for _ in range(20_000)]
    assert all(before < after for before, after in pairwise(made))
    assert all(str(before) < str(after) for before, after in pairwise(made))


def test_threads_share_no_id_and_each_sees_them_grow() -> None:
    made = all_at_once([lambda: [new_id() for _ in range(2_000)]] * 8)
    assert len({each for batch in made for each in batch}) == 16_000
    assert all(batch == sorted(batch) for batch in made)


def test_a_forked_worker_makes_others_than_its_parent() -> None:
    """gunicorn loads the application once and forks it."""
    new_id()
    children = [made_in_a_fork() for _ in range(4)]
    made = [new_id() for _ in range(1_000)]
    for pid, reader in children:
        with os.fdopen(reader) as lines:
            made += [UUID(line) for line in lines.read().split()]
        os.waitpid(pid, 0)
    assert len(made) == len(set(made)) == 5_000


def made_in_a_fork() -> tuple[int, int]:
    """A child's process id, and a file descriptor to read its ids from."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, "\n".join(str(new_id()) for _ in range(1_000)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    return pid, reader
