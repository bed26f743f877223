"""The worker's loop: deliveries, failures and its end."""

import json
import logging
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import text

from authserve.core.clock import now
from authserve.core.logs import correlation_id_var
from authserve.database.transactions import db, require_transaction, transaction
from authserve.outbox.delivery import ClaimedMessage
from authserve.outbox.enqueue import enqueue
from authserve.outbox.errors import DeliveryError, DroppedError
from authserve.outbox.inspect import retry
from authserve.outbox.policy import HORIZON, LEASE, REFUSAL_PAUSE, MessageState
from authserve.outbox.worker import (
    MAINTENANCE_SECS,
    PURGE_TASKS,
    Handler,
    StopSignal,
    Worker,
)
from tests.conftest import Log, PostgreSQL
from tests.outbox.conftest import KIND, MakeWorker, Post
from tests.support.crowd import all_at_once
from tests.support.marks import both_databases, on_postgresql
from tests.support.messages import change_messages, messages, states


def owe(app: Flask, *names: str) -> None:
    with app.app_context(), transaction():
        for name in names:
            enqueue(KIND, {"name": name})


def deliver_all(app: Flask, worker: Worker) -> None:
    with app.app_context():
        while worker.deliver_one():
            pass


def stop_after(post: Post, count: int, stop: StopSignal) -> None:
    """End the loop as soon as so many messages are being delivered."""
    begun = iter(range(1, count + 1))

    def note(_message: object) -> None:
        if next(begun) == count:
            stop.set()

    post.while_delivering = note


def test_it_delivers_what_is_due_in_order(app: Flask, post: Post, worker: Worker) -> None:
    owe(app, "a", "b", "c")
    deliver_all(app, worker)
    assert post.delivered == ["a", "b", "c"]
    assert states(app) == {"sent": 3}


@both_databases
def test_twenty_workers_deliver_each_message_once(
    make_app: Callable[..., Flask], post: Post, make_worker: MakeWorker
) -> None:
    # A worker that gets no connection in time would have to try its message again.
    app = make_app(database_pool_size=20)
    names = [str(number) for number in range(60)]
    owe(app, *names)
    all_at_once([lambda: deliver_all(app, make_worker())] * 20)
    assert Counter(post.delivered) == Counter(names)
    assert post.collisions == 0
    assert states(app) == {"sent": 60}


@pytest.mark.parametrize(
    ("refusal", "state", "reason"),
    [
        (DeliveryError("away"), "pending", "away"),
        (DroppedError("pointless"), "dropped", "pointless"),
        (ZeroDivisionError(), "pending", "internal error; see the log"),
    ],
)
def test_a_fault_in_one_message_does_not_stop_the_others(
    app: Flask, post: Post, worker: Worker, log: Log, refusal: Exception, state: str, reason: str
) -> None:
    post.refusals["bad"] = refusal
    owe(app, "bad", "good")
    with time_machine.travel(now(), tick=False):
        deliver_all(app, worker)
    assert post.delivered == ["good"]
    bad = next(row for row in messages(app) if row["payload"]["name"] == "bad")
    assert (bad["state"], bad["last_error"]) == (state, reason)
    told = [line for line in log() if line.get("message_id") == str(bad["id"])]
    is_bug = not isinstance(refusal, DeliveryError | DroppedError)
    assert [("ZeroDivisionError" in json.dumps(line)) for line in told] == [is_bug]


def test_a_message_refused_for_good_is_given_up_after_three_refusals(
    app: Flask, post: Post, worker: Worker, clock: time_machine.Traveller
) -> None:
    owe(app, "bad")
    away, refused = DeliveryError("away"), DeliveryError("550 no", is_permanent=True)
    for refusal in (away, away, away, refused, refused, refused):
        assert states(app) == {"pending": 1}
        post.refusals["bad"] = refusal
        deliver_all(app, worker)
        clock.shift(REFUSAL_PAUSE)
    (row,) = messages(app)
    assert (row["state"], row["attempts"], row["last_error"]) == ("dead", 6, "550 no")
    # The operator has retried it, and it gets three more attempts.
    with app.app_context():
        retry(row["id"])
    deliver_all(app, worker)
    assert states(app) == {"pending": 1}


def test_a_message_carries_the_id_of_the_request_that_caused_it(
    app: Flask, post: Post, worker: Worker
) -> None:
    with app.app_context(), transaction():
        token = correlation_id_var.set("request-1")
        enqueue(KIND, {"name": "good"})
        correlation_id_var.reset(token)
    seen = []
    post.while_delivering = lambda message: seen.append(
        (message.correlation_id, correlation_id_var.get())
    )
    deliver_all(app, worker)
    assert seen == [("request-1", "request-1")]
    assert correlation_id_var.get() is None


@both_databases
def test_a_fault_of_the_database_in_one_message_ends_in_the_dead_letters(
    app: Flask, post: Post, worker: Worker
) -> None:
    """It would come back for ever if it only kept its lease."""

    def fail(_message: object) -> None:
        with transaction() as session:
            session.execute(text("SELECT * FROM no_such_table"))

    post.while_delivering = fail
    owe(app, "bad")
    change_messages(app, created_at=now() - HORIZON)
    deliver_all(app, worker)
    assert states(app) == {"dead": 1}


def test_it_claims_nothing_while_deliveries_make_no_sense(
    app: Flask, post: Post, worker: Worker
) -> None:
    post.is_ready = False
    owe(app, "a")
    deliver_all(app, worker)
    assert messages(app)[0]["attempts"] == 0
    post.is_ready = True
    deliver_all(app, worker)
    assert post.delivered == ["a"]


def test_it_finishes_the_present_delivery_before_it_stops(
    app: Flask, post: Post, worker: Worker
) -> None:
    stop = StopSignal()
    stop_after(post, 2, stop)
    owe(app, "a", "b", "c")
    worker.run(stop)
    assert post.delivered == ["a", "b"]
    assert states(app) == {"sent": 2, "pending": 1}


def test_a_signal_ends_its_pause_at_once(app: Flask, worker: Worker) -> None:
    stop = StopSignal()
    before = signal.signal(signal.SIGUSR1, stop.set)
    try:
        threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGUSR1)).start()
        stop.wait(60)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert stop.is_set()
    for _ in range(100_000):
        # It can be set any number of times: the pipe's end is not waited for.
        stop.set()


class TestDatabaseTrouble:
    @pytest.fixture(autouse=True)
    def _quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("authserve.outbox.worker.TROUBLE_SECS", 0.01)
        monkeypatch.setattr("authserve.outbox.worker.NOTE_PAUSE_SECS", 0.01)

    @pytest.fixture
    def end_connections(self, postgresql: PostgreSQL, app: Flask) -> Callable[[], None]:
        """Return a function that ends all connections, like a restart of the server."""
        with app.app_context():
            name = db.engine.url.database
        ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        return lambda: postgresql.execute(ended)

    @on_postgresql
    def test_it_continues_after_a_dropped_connection(
        self, app: Flask, post: Post, worker: Worker, end_connections: Callable[[], None]
    ) -> None:
        stop = StopSignal()
        owe(app, "a", "b")
        stop_after(post, 2, stop)
        end_connections()
        worker.run(stop)
        assert post.delivered == ["a", "b"]

    @on_postgresql
    def test_a_connection_dropped_in_mid_delivery_repeats_nothing(
        self,
        app: Flask,
        post: Post,
        worker: Worker,
        caplog: pytest.LogCaptureFixture,
        end_connections: Callable[[], None],
    ) -> None:
        stop, ends = StopSignal(), iter(range(1, 4))

        def drop(_message: object) -> None:
            if next(ends) == 3:
                stop.set()
            end_connections()

        post.while_delivering = drop
        owe(app, "a", "b", "c")
        worker.run(stop)
        assert post.delivered == ["a", "b", "c"]
        assert states(app) == {"sent": 3}
        assert caplog.messages.count("an outcome could not be recorded yet") == 3

    def test_an_outcome_that_cannot_be_noted_ends_with_the_lease(
        self, app: Flask, post: Post, make_worker: MakeWorker, caplog: pytest.LogCaptureFixture
    ) -> None:
        seconds = iter([float("-inf"), 0.0, 29.0, 30.0])
        worker = make_worker(monotonic=lambda: next(seconds, 31.0))

        def rename(before: str, after: str) -> None:
            with app.app_context(), transaction() as session:
                session.execute(text(f"ALTER TABLE {before} RENAME TO {after}"))

        post.while_delivering = lambda _: rename("outbox_messages", "elsewhere")
        owe(app, "a")
        next(seconds)
        with app.app_context(), pytest.raises(Exception, match="no such table"):
            worker.deliver_one()
        rename("elsewhere", "outbox_messages")
        assert caplog.messages.count("an outcome could not be recorded yet") == 1
        (row,) = messages(app)
        assert (row["state"], row["leased_until"] > now()) == ("pending", True)

    def test_nothing_ends_its_loop(
        self, app: Flask, make_worker: MakeWorker, caplog: pytest.LogCaptureFixture
    ) -> None:
        stop, tries = StopSignal(), iter(range(3))

        def fail() -> Iterator[int]:
            if next(tries) == 2:
                stop.set()
            raise ZeroDivisionError
            yield 0

        worker = make_worker([fail], monotonic=iter(range(0, 10**6, 1000)).__next__)
        with caplog.at_level(logging.ERROR):
            worker.run(stop)
        assert caplog.messages == ["the worker failed and pauses"] * 3


class TestMaintenance:
    def test_it_runs_every_purge_at_the_start_and_every_ten_minutes(
        self, app: Flask, make_worker: MakeWorker
    ) -> None:
        runs: list[str] = []

        def purge(name: str) -> Iterator[int]:
            runs.append(name)
            yield 1

        seconds = [0.0]
        worker = make_worker([lambda: purge("a"), lambda: purge("b")], monotonic=lambda: seconds[0])
        for moment in (0.0, MAINTENANCE_SECS - 0.1, MAINTENANCE_SECS):
            seconds[0] = moment
            worker.run(OneTurn())
        assert runs == ["a", "b", "a", "b"]

    def test_it_stops_between_two_slices(self, app: Flask, make_worker: MakeWorker) -> None:
        stop, slices = StopSignal(), []

        def purge() -> Iterator[int]:
            for number in range(5):
                slices.append(number)
                if number == 1:
                    stop.set()
                yield 1

        make_worker([purge]).run(stop)
        assert slices == [0, 1]

    def test_a_message_that_is_due_does_not_wait_for_the_end_of_a_job(
        self, app: Flask, post: Post, make_worker: MakeWorker
    ) -> None:
        stop, seen = StopSignal(), []

        def purge() -> Iterator[int]:
            for number in range(3):
                owe(app, str(number))
                yield 1
                seen.append(len(post.delivered))
            stop.set()

        make_worker([purge]).run(stop)
        assert seen == [1, 2, 3]

    def test_one_purge_that_fails_does_not_keep_the_others(
        self, app: Flask, make_worker: MakeWorker, caplog: pytest.LogCaptureFixture
    ) -> None:
        runs = []

        def fail() -> Iterator[int]:
            with transaction() as session:
                session.execute(text("SELECT * FROM no_such_table"))
            yield 0

        def purge() -> Iterator[int]:
            runs.append(1)
            yield 1

        with caplog.at_level(logging.ERROR):
            make_worker([fail, purge]).run(OneTurn())
        assert runs == [1]
        assert caplog.messages == ["dead rows could not be cleared away"]

    @both_databases
    def test_the_service_clears_everything_away_that_dies(self, app: Flask) -> None:
        names = {purge.__name__ for purge in PURGE_TASKS.of(app)}
        assert names >= {
            "purge_dead_sessions",
            "purge_dead_tokens",
            "purge_finished_messages",
            "purge_dead_counters",
        }

    @both_databases
    def test_the_services_own_purges_run(self, app: Flask, make_worker: MakeWorker) -> None:
        owe(app, "a")
        change_messages(app, state="sent", finished_at=now() - timedelta(days=8))
        make_worker(PURGE_TASKS.of(app)).run(OneTurn())
        assert messages(app) == []


class OneTurn:
    """An event that lets the loop run one round."""

    def __init__(self) -> None:
        self._turns = iter([False])

    def is_set(self) -> bool:
        return next(self._turns, True)

    def wait(self, _timeout: float, /) -> None:
        """Return at once."""


def test_a_final_refusal_is_the_last_try(app: Flask, post: Post, worker: Worker) -> None:
    owe(app, "a")
    post.refusals["a"] = DeliveryError("it never takes this", is_final=True)
    deliver_all(app, worker)
    (message,) = messages(app)
    assert (message["state"], message["attempts"]) == ("dead", 1)
    assert message["last_error"] == "it never takes this"


def test_the_end_of_a_message_is_reported_in_the_transaction_that_records_it(
    clock: time_machine.Traveller, app: Flask, post: Post
) -> None:
    reports: list[tuple[str, str, str | None]] = []

    def note(message: ClaimedMessage, state: MessageState, error: str | None) -> None:
        require_transaction()
        reports.append((message.payload["name"], state, error))
        if len(reports) == 1:
            raise RuntimeError

    worker = Worker({KIND: Handler(post.deliver, lambda: True, note)}, (), context=app.app_context)
    owe(app, "sent", "dead", "tried again", "dropped")
    post.refusals["dead"] = DeliveryError("no", is_final=True)
    post.refusals["tried again"] = DeliveryError("not now")
    post.refusals["dropped"] = DroppedError("pointless")
    with app.app_context(), pytest.raises(RuntimeError):
        worker.deliver_one()
    # What the report could not record, the message does not say either.
    assert states(app) == {"pending": 4}
    clock.shift(LEASE)
    deliver_all(app, worker)
    assert sorted(reports[1:]) == [("dead", "dead", "no"), ("sent", "sent", None)]
