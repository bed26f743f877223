"""The worker's own jobs for the audit trail."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import insert, update

from authserve.audit.models import AuditBatch, AuditChain
from authserve.audit.worker import JOBS
from authserve.core.clock import now
from authserve.database.transactions import transaction
from authserve.mfa import worker as mfa_worker
from authserve.outbox.worker import HEARTBEAT, SCHEDULED_JOBS, Worker
from tests.support.marks import both_databases
from tests.support.trail import event_ids, places, seal_all, write_events

pytestmark = pytest.mark.usefixtures("context")


class Turns:
    """Return a function that runs one turn of a worker at each given time."""

    def __init__(self, app: Flask) -> None:
        self.seconds = 0.0
        self._is_over = False
        self._worker = Worker(
            {},
            (),
            jobs=SCHEDULED_JOBS.of(app),
            context=app.app_context,
            monotonic=lambda: self.seconds,
        )

    def is_set(self) -> bool:
        return self._is_over

    def wait(self, timeout: float, /) -> None:
        self._is_over = True

    def turn(self, *, at: float) -> None:
        self.seconds, self._is_over = at, False
        self._worker.run(self)


@pytest.fixture
def turns(app: Flask) -> Turns:
    """Turns of a worker in a night that has been verified already."""
    with transaction() as session:
        session.execute(
            update(AuditChain).values(verification_begun_at=datetime.max.replace(tzinfo=UTC))
        )
    return Turns(app)


def test_the_service_brings_its_jobs(app: Flask) -> None:
    assert SCHEDULED_JOBS.of(app) == (HEARTBEAT, *JOBS, *mfa_worker.JOBS)


def test_it_seals_at_the_start_and_every_minute(turns: Turns) -> None:
    sealed = []
    for moment in (0.0, 59.9, 60.0):
        write_events()
        turns.turn(at=moment)
        sealed.append(len(places()))
    assert sealed == [1, 1, 3]


def test_it_prunes_at_the_start_and_every_ten_minutes(
    turns: Turns, clock: time_machine.Traveller
) -> None:
    left = []
    for moment in (0.0, 599.9, 600.0):
        write_events()
        seal_all()
        clock.shift(timedelta(days=500))
        turns.turn(at=moment)
        left.append(len(event_ids()))
    assert left == [0, 1, 0]


@both_databases
def test_a_broken_chain_does_not_stop_the_worker(
    turns: Turns, caplog: pytest.LogCaptureFixture, make_batch: Callable[[], None]
) -> None:
    write_events()
    make_batch()
    turns.turn(at=0.0)
    assert "audit events could not be sealed" in caplog.messages
    assert places() == {}


@pytest.fixture
def make_batch(clock: time_machine.Traveller) -> Callable[[], None]:
    """Puts a batch where the next one should go."""

    def make() -> None:
        (event_id,) = event_ids()
        row = {name: bytes(32) for name in ("events_digest", "previous_head", "head", "mac")}
        row |= dict.fromkeys(("oldest_at", "newest_at", "sealed_at"), now())
        row |= {"seq": 1, "event_count": 1, "first_event_id": event_id, "last_event_id": event_id}
        with transaction() as session:
            session.execute(insert(AuditBatch), row)

    return make
