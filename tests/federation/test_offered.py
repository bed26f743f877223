"""The providers that pages offer: from memory, in order, and during an outage."""

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy.exc import OperationalError

from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.clock import now
from authserve.database.transactions import db
from authserve.federation import offered
from authserve.federation.offered import CACHE_SECS, RETRY_SECS, OfferedProviders
from authserve.federation.registry import change_provider
from authserve.web.sign_in_providers import SignInProvider
from tests.conftest import Log
from tests.support.crowd import DEADLINE_SECS
from tests.support.databases import executed
from tests.support.identity_providers import give_provider


class Clock:
    """A clock that a test moves."""

    now_secs = 1_000.0

    def __call__(self) -> float:
        return self.now_secs


@pytest.fixture
def clock_secs() -> Clock:
    """The clock of the providers' memory."""
    return Clock()


@pytest.fixture
def providers(clock_secs: Clock) -> OfferedProviders:
    """The memory of a worker."""
    return OfferedProviders(clock=clock_secs)


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with providers."""
    return make_app(features=("pages", "federation"))


def slugs(found: Sequence[SignInProvider]) -> list[str]:
    return [each.slug for each in found]


def test_they_keep_the_order_in_which_they_were_added(
    app: Flask, context: None, providers: OfferedProviders
) -> None:
    give_provider(app, "google", sign_up=False)
    with time_machine.travel(now() - timedelta(days=1)):
        give_provider(app, "work", name="Example Ltd")
    give_provider(app, "disabled")
    changes = {"actor": OPERATOR, "request": RequestInfo()}
    change_provider("disabled", {"enabled": False}, **changes)
    assert list(providers.find()) == [
        SignInProvider("work", "Example Ltd", opens_accounts=True),
        SignInProvider("google", "Google", opens_accounts=False),
    ]


def test_a_worker_reads_once_in_thirty_seconds(
    app: Flask, context: None, providers: OfferedProviders, clock_secs: Clock
) -> None:
    with executed(db.engine) as statements:
        assert [providers.find(), providers.find()] == [(), ()]
        assert len(statements) == 1
        give_provider(app)
    clock_secs.now_secs += CACHE_SECS - 0.1
    with executed(db.engine) as statements:
        assert slugs(providers.find()) == []
        assert statements == []
        clock_secs.now_secs += 0.1
        assert slugs(providers.find()) == ["google"]
        assert len(statements) == 1


def test_an_outage_keeps_the_last_ones(
    app: Flask,
    context: None,
    providers: OfferedProviders,
    clock_secs: Clock,
    monkeypatch: pytest.MonkeyPatch,
    log: Log,
) -> None:
    give_provider(app)
    providers.find()
    asked = []

    def fail(*_args: Any) -> None:
        asked.append(1)
        raise OperationalError("SELECT", {}, Exception("away"))

    with monkeypatch.context() as patch:
        patch.setattr(offered, "read_all", fail)
        clock_secs.now_secs += CACHE_SECS
        assert slugs(providers.find()) == slugs(providers.find()) == ["google"]
        assert list(OfferedProviders(clock=clock_secs).find()) == []
        assert len(asked) == 2
    lines = [(line["level"], line["event"], line["reason"]) for line in log()]
    assert lines == [("WARNING", "providers not read", "OperationalError")] * 2
    give_provider(app, "github")
    clock_secs.now_secs += RETRY_SECS
    assert slugs(providers.find()) == ["google", "github"]


def test_one_thread_reads_and_the_others_do_not_wait(
    app: Flask,
    context: None,
    providers: OfferedProviders,
    clock_secs: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    give_provider(app)
    providers.find()
    clock_secs.now_secs += CACHE_SECS
    has_begun, may_end = threading.Event(), threading.Event()

    def read_slowly(*_args: Any) -> list[Any]:
        has_begun.set()
        assert may_end.wait(DEADLINE_SECS)
        return []

    monkeypatch.setattr(offered, "read_all", read_slowly)
    thread = threading.Thread(target=providers.find)
    thread.start()
    assert has_begun.wait(DEADLINE_SECS)
    assert slugs(providers.find()) == ["google"]
    may_end.set()
    thread.join(DEADLINE_SECS)
    assert slugs(providers.find()) == []


def test_the_first_visitors_wait_for_one_read(
    app: Flask, context: None, providers: OfferedProviders, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_provider(app)
    reads: list[Any] = []
    read, may_end = offered.read_all, threading.Event()
    rows = read(offered._STATEMENT)

    def read_slowly(*_args: Any) -> list[Any]:
        reads.append(1)
        assert may_end.wait(DEADLINE_SECS)
        return rows

    monkeypatch.setattr(offered, "read_all", read_slowly)
    found: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: found.append(slugs(providers.find()))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    may_end.set()
    for thread in threads:
        thread.join(DEADLINE_SECS)
    assert (found, len(reads)) == ([["google"]] * 4, 1)
