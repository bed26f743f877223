"""The documents of providers that a process remembers."""

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Event

import pytest

from authserve.federation.document_cache import DocumentCache
from tests.support.server import DEADLINE_SECS

URL = ("https://provider.example", "https://provider.example/keys")


class Scene:
    """A cache whose clock a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.numbers = count(1)
        self.cache = DocumentCache(clock=lambda: self.now)

    def find(self, *, grace_secs: float = 10) -> int:
        """Return the document: the number of its fetch."""
        return self.cache.find(
            *URL, lambda: next(self.numbers), max_age_secs=60, grace_secs=grace_secs
        )


def test_a_document_is_fetched_anew_at_its_end() -> None:
    scene = Scene()
    assert [scene.find(), scene.find()] == [1, 1]
    scene.now += 59.9
    assert scene.find() == 1
    scene.now += 0.1
    # One thread alone gets no old document.
    assert scene.find() == 2


def test_a_failure_is_not_remembered() -> None:
    scene = Scene()

    def fail() -> int:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        scene.cache.find(*URL, fail, max_age_secs=60, grace_secs=10)
    assert scene.find() == 1
    scene.now += 60
    with pytest.raises(ConnectionError):
        scene.cache.find(*URL, fail, max_age_secs=60, grace_secs=10)
    # No thread fetches any more, so the old one is over.
    assert scene.find() == 2


@pytest.mark.parametrize(
    ("passed_secs", "grace_secs", "found"), [(60, 10, 1), (69.9, 10, 1), (70, 10, 3), (60, 0, 3)]
)
def test_while_one_thread_fetches_the_others_get_the_old_one(
    passed_secs: float, grace_secs: float, found: int
) -> None:
    scene = Scene()
    scene.find()
    scene.now += passed_secs
    has_begun, may_end = Event(), Event()

    def fetch() -> int:
        number = next(scene.numbers)
        has_begun.set()
        assert may_end.wait(DEADLINE_SECS)
        return number

    with ThreadPoolExecutor(1) as thread:
        slow = thread.submit(scene.cache.find, *URL, fetch, max_age_secs=60)
        assert has_begun.wait(DEADLINE_SECS)
        try:
            assert scene.find(grace_secs=grace_secs) == found
        finally:
            may_end.set()
        assert slow.result() == 2
