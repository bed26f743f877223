"""The nightly verification: once a night, with its outcome as an event."""

import logging
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import delete

from authserve.audit.models import AuditEvent
from authserve.audit.status import find_last_verification
from authserve.audit.worker import claim_night, verify_nightly
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.clock import now
from authserve.core.events import AuditAction, Outcome
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from tests.support.audit import all_events
from tests.support.crowd import all_at_once, persistently
from tests.support.marks import both_databases
from tests.support.trail import seal_all, unguarded, write_events

pytestmark = pytest.mark.usefixtures("context")


def verify() -> None:
    for _ in verify_nightly():
        pass


def outcomes() -> list[str]:
    return [event.outcome for event in all_events("audit.verified")]


def test_it_records_the_extent_of_a_whole_trail(
    clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    write_events(2)
    seal_all()
    write_events()
    assert find_last_verification() is None
    caplog.set_level(logging.INFO, logger="authserve.audit")
    verify()
    (line,) = [each for each in caplog.records if each.name == "authserve.audit.worker"]
    assert line.message == "audit trail verified"
    assert (vars(line)["batches"], vars(line)["events"]) == (1, 2)
    assert (vars(line)["pruned"], vars(line)["unsealed"]) == (0, 1)
    (event,) = all_events("audit.verified")
    assert (event.outcome, event.actor, event.subject) == ("success", None, None)
    assert event.details == {"batches": 1, "events": 2, "pruned": 0, "unsealed": 1}
    last = find_last_verification()
    assert last is not None
    assert (last.at, last.fault) == (now(), None)


def test_it_records_the_first_fault(caplog: pytest.LogCaptureFixture) -> None:
    first, _ = write_events(2)
    seal_all()
    with unguarded() as session:
        session.execute(delete(AuditEvent).where(AuditEvent.id == first))
    verify()
    fault = f"event {first} was removed (batch 1, position 0)"
    (event,) = all_events("audit.verified")
    assert (event.outcome, event.details) == ("failure", {"fault": fault})
    last = find_last_verification()
    assert last is not None
    assert last.fault == fault
    (line,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert (line.message, vars(line)["fault"]) == ("audit trail was tampered with", fault)


def test_a_fault_whose_details_are_gone_is_a_fault() -> None:
    with transaction():
        emit(
            AuditAction.AUDIT_VERIFIED,
            outcome=Outcome.FAILURE,
            actor=OPERATOR,
            request=RequestInfo(),
        )
    last = find_last_verification()
    assert last is not None
    assert last.fault == "unknown"


def test_a_night_begins_at_two_in_utc(clock: time_machine.Traveller) -> None:
    verify()
    for hours, count in ((13, 1), (0.99, 1), (0.01, 2), (23.99, 2), (0.01, 3)):
        clock.shift(timedelta(hours=hours))
        verify()
        assert len(outcomes()) == count


@both_databases
def test_of_twenty_workers_one_verifies(app: Flask) -> None:
    def work() -> bool:
        with app.app_context():
            return persistently(lambda: claim_night(now()))

    assert sum(all_at_once([work] * 20)) == 1
