"""Fixtures of tests about the outbox: messages of a kind that only these tests know."""

from collections import Counter
from collections.abc import Callable, Sequence
from threading import Lock

import pytest
from flask import Flask

from authserve.outbox.delivery import ClaimedMessage
from authserve.outbox.worker import Handler, Purge, Worker

KIND = "letter"


class Post:
    """A delivery that keeps messages.

    `refusals` holds what to raise for a payload's `name`, every time.
    """

    def __init__(self) -> None:
        self.delivered: list[str] = []
        self.refusals: dict[str, Exception] = {}
        self.while_delivering: Callable[[ClaimedMessage], None] = lambda _: None
        self.is_ready = True
        self.collisions = 0
        self._held: Counter[str] = Counter()
        self._lock = Lock()

    def deliver(self, message: ClaimedMessage) -> None:
        name = message.payload["name"]
        with self._lock:
            self._held[name] += 1
            self.collisions += self._held[name] > 1
        try:
            self.while_delivering(message)
            if name in self.refusals:
                raise self.refusals[name]
            self.delivered.append(name)
        finally:
            with self._lock:
                self._held[name] -= 1


@pytest.fixture
def post() -> Post:
    return Post()


MakeWorker = Callable[..., Worker]


@pytest.fixture
def make_worker(app: Flask, post: Post) -> MakeWorker:
    """Make workers that deliver to `post`."""

    def make(purges: Sequence[Purge] = (), **options: object) -> Worker:
        handlers = {KIND: Handler(post.deliver, lambda: post.is_ready)}
        return Worker(handlers, purges, context=app.app_context, **options)  # type: ignore[arg-type]

    return make


@pytest.fixture
def worker(make_worker: MakeWorker) -> Worker:
    return make_worker()
