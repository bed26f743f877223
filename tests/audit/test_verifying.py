"""Verifying: each way of tampering is named, and nothing else is taken for tampering."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from flask import Flask
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.orm import Session

from authserve.audit.checks import LATENESS, TamperedError
from authserve.audit.models import (
    AuditBatch,
    AuditChain,
    AuditDetail,
    AuditEvent,
    AuditSeal,
    AuditUnsealed,
)
from authserve.audit.retention import rewrap_heads
from authserve.audit.seal import HEAD_COLUMNS, batch_head, batch_mac
from authserve.audit.verify import verify_trail
from authserve.core.actor import UserRef
from authserve.core.clock import now
from authserve.database.transactions import read_all, transaction
from tests.factories import make_user
from tests.support.marks import both_databases
from tests.support.trail import (
    delete_from_trail,
    detail_row,
    details_of,
    event_row,
    seal_all,
    unguarded,
    write_events,
)

pytestmark = pytest.mark.usefixtures("context", "small_slices")

SECRET = "a secret for tests alone, 0123456789"
OTHER_SECRET = "another secret for tests alone, 98765"


@dataclass(frozen=True)
class Trail:
    """Six events in three batches of two, and one that is not sealed yet."""

    ids: list[UUID]
    unsealed: UUID


@pytest.fixture
def trail() -> Trail:
    ids = write_events(6)
    assert seal_all() == [2, 2, 2]
    (unsealed,) = write_events()
    return Trail(ids, unsealed)


def fault() -> str:
    with pytest.raises(TamperedError) as caught:
        verify_trail()
    return str(caught.value)


@both_databases
def test_an_unchanged_trail_is_whole(trail: Trail) -> None:
    found = verify_trail()
    (end,) = read_all(select(AuditChain.head))
    assert (found.batches, found.events, found.pruned, found.unsealed) == (3, 6, 0, 1)
    assert found.head == end.head


@both_databases
def test_an_empty_trail_is_whole() -> None:
    found = verify_trail()
    assert (found.batches, found.events, found.unsealed, found.head) == (0, 0, 0, bytes(32))


@both_databases
def test_it_reports_its_progress_batch_by_batch(trail: Trail) -> None:
    told: list[int] = []
    verify_trail(progress=told.append)
    # The 0 is the slice of the events outside of batches.
    assert [count for count in told if count] == [1, 1, 1]


# Changes that are no tampering


@both_databases
def test_erased_details_leave_the_chain_valid(trail: Trail) -> None:
    delete_from_trail()
    assert read_all(select(func.count(AuditDetail.event_id)))[0][0] == 0
    found = verify_trail()
    assert (found.events, found.unsealed) == (6, 2)
    seal_all()
    assert verify_trail().events == 8


def test_an_event_from_a_clock_that_is_off_is_no_forgery(clock: time_machine.Traveller) -> None:
    write_events(2)
    seal_all()
    clock.shift(-timedelta(seconds=30))
    write_events(2)
    seal_all()
    assert verify_trail().events == 4


def test_a_clock_that_was_ahead_does_not_make_what_follows_a_forgery(
    clock: time_machine.Traveller,
) -> None:
    clock.shift(timedelta(days=365))
    write_events(2)
    clock.shift(-timedelta(days=365))
    seal_all()
    write_events(2)
    seal_all()
    assert verify_trail().events == 4


# Events


def change_event(event_id: UUID, **columns: Any) -> None:
    with unguarded() as session:
        session.execute(update(AuditEvent).where(AuditEvent.id == event_id).values(**columns))


EVENT_CHANGES = {
    "occurred_at": now() - timedelta(microseconds=1),
    "action": "user.deleted",
    "outcome": "failure",
    "actor_audit_id": None,
    "subject_audit_id": uuid4(),
    "correlation_id": "another",
    "actor_client_id": "an-app",
    "details_digest": bytes(32),
}


@both_databases
def test_it_names_an_event_of_which_anything_was_changed(trail: Trail) -> None:
    (row,) = read_all(select(AuditEvent.__table__).where(AuditEvent.id == trail.ids[3]))
    for column, value in EVENT_CHANGES.items():
        change_event(trail.ids[3], **{column: value})
        assert fault() == (
            f"event {trail.ids[3]} was changed, or put into another's place (batch 2, position 1)"
        )
        change_event(trail.ids[3], **{column: getattr(row, column)})
        assert verify_trail().events == 6, column


@both_databases
def test_every_column_of_an_event_is_sealed() -> None:
    names = {column.name for column in AuditEvent.__table__.columns}
    assert names == {*EVENT_CHANGES, "id"}


def test_it_names_an_event_whose_id_was_changed(trail: Trail) -> None:
    delete_from_trail()
    change_event(trail.ids[2], id=uuid4())
    assert fault() == f"event {trail.ids[2]} was removed (batch 2, position 0)"


def test_it_names_the_first_of_several(trail: Trail) -> None:
    for event_id in (trail.ids[5], trail.ids[1], trail.ids[2]):
        change_event(event_id, outcome="failure")
    assert fault().startswith(f"event {trail.ids[1]} was changed")


@both_databases
def test_it_names_an_event_that_was_removed(trail: Trail) -> None:
    with unguarded() as session:
        session.execute(delete(AuditEvent).where(AuditEvent.id == trail.ids[4]))
    assert fault() == f"event {trail.ids[4]} was removed (batch 3, position 0)"


@pytest.mark.parametrize("position", [0, 1])
def test_it_names_the_place_of_an_event_that_was_removed_with_its_seal(
    trail: Trail, position: int
) -> None:
    event_id = trail.ids[2 + position]
    with unguarded() as session:
        session.execute(delete(AuditEvent).where(AuditEvent.id == event_id))
        session.execute(delete(AuditSeal).where(AuditSeal.event_id == event_id))
    assert fault() == f"event {position} of batch 2 was removed, with its seal"


def forge(session: Session, **columns: Any) -> UUID:
    row = event_row(**columns)
    event_id: UUID = row["id"]
    session.execute(insert(AuditEvent), row)
    session.execute(insert(AuditDetail), detail_row(event_id))
    return event_id


def place(session: Session, event_id: UUID, batch_seq: int, position: int) -> None:
    row = {"event_id": event_id, "batch_seq": batch_seq, "position": position}
    session.execute(insert(AuditSeal), row)


def move(session: Session, event_id: UUID, position: int) -> None:
    statement = update(AuditSeal).where(AuditSeal.event_id == event_id)
    session.execute(statement.values(position=position))


def test_it_names_an_event_that_was_inserted_between_sealed_ones(trail: Trail) -> None:
    with unguarded() as session:
        forged = forge(session)
        move(session, trail.ids[3], 2)
        place(session, forged, 2, 1)
    assert fault() == f"event {forged} was inserted (batch 2, position 1)"


@pytest.mark.parametrize("position", [2, -1])
def test_it_names_an_event_that_was_inserted_beside_sealed_ones(
    trail: Trail, position: int
) -> None:
    with unguarded() as session:
        forged = forge(session)
        place(session, forged, 2, position)
    assert fault() == f"event {forged} was inserted (batch 2, position {position})"


def test_it_names_an_event_that_took_another_ones_place(trail: Trail) -> None:
    with unguarded() as session:
        session.execute(delete(AuditEvent).where(AuditEvent.id == trail.ids[2]))
        session.execute(delete(AuditSeal).where(AuditSeal.event_id == trail.ids[2]))
        forged = forge(session)
        place(session, forged, 2, 0)
    assert fault().startswith(f"event {forged} was changed, or put into another's place")


def test_it_notices_events_that_were_exchanged(trail: Trail) -> None:
    with unguarded() as session:
        move(session, trail.ids[2], 7)
        move(session, trail.ids[3], 0)
        move(session, trail.ids[2], 1)
    assert fault().startswith(f"event {trail.ids[3]} was changed, or put into another's place")


@both_databases
@pytest.mark.parametrize("batch_seq", [0, 99, None])
def test_it_names_an_event_that_no_batch_holds(trail: Trail, batch_seq: int | None) -> None:
    with unguarded() as session:
        forged = forge(session)
        if batch_seq is not None:
            place(session, forged, batch_seq, 0)
    assert fault() == f"event {forged} was inserted: no batch holds it"


@pytest.mark.parametrize("is_sealed", [False, True])
def test_it_names_an_event_that_was_dated_back(trail: Trail, is_sealed: bool) -> None:
    with transaction() as session:
        forged = forge(session, occurred_at=now() - LATENESS - timedelta(minutes=10))
    if is_sealed:
        seal_all()
    assert fault().startswith(f"event {forged} was inserted: its time is ")


def test_an_event_may_be_late_by_an_hour_and_no_more(clock: time_machine.Traveller) -> None:
    write_events()
    seal_all()
    with transaction() as session:
        forge(session, occurred_at=now() - LATENESS)
    seal_all()
    assert verify_trail().events == 2
    with transaction() as session:
        forged = forge(session, occurred_at=now() - LATENESS - timedelta(microseconds=1))
    assert str(forged) in fault()


def test_it_names_an_event_that_was_removed_before_it_was_sealed(trail: Trail) -> None:
    with unguarded() as session:
        session.execute(delete(AuditEvent).where(AuditEvent.id == trail.unsealed))
    assert fault() == f"event {trail.unsealed} was removed before it was sealed"
    # It does not keep others from being sealed.
    write_events(2)
    assert seal_all() == [2]
    assert fault() == f"event {trail.unsealed} was removed before it was sealed"


def test_it_names_a_sealed_event_that_was_noted_as_new(trail: Trail) -> None:
    with transaction() as session:
        session.execute(insert(AuditUnsealed), {"event_id": trail.ids[0]})
    assert fault() == f"event {trail.ids[0]} is sealed, and was noted as new once more"


# Details


DETAIL_CHANGES = [
    ("salt", bytes(16)),
    ("ip", "198.51.100.9"),
    ("ip", None),
    ("user_agent", "another"),
    ("details", {"number": 1}),
]


@pytest.mark.parametrize("is_sealed", [True, False])
def test_it_names_an_event_whose_details_were_changed(trail: Trail, is_sealed: bool) -> None:
    event_id = trail.ids[1] if is_sealed else trail.unsealed
    (row,) = details_of(event_id)
    theirs = update(AuditDetail).where(AuditDetail.event_id == event_id)
    for column, value in DETAIL_CHANGES:
        with unguarded() as session:
            session.execute(theirs.values({column: value}))
        assert fault() == f"the details of event {event_id} were changed"
        with unguarded() as session:
            session.execute(theirs.values({column: getattr(row, column)}))
        assert verify_trail().events == 6


@both_databases
@pytest.mark.parametrize("is_sealed", [True, False])
def test_it_names_an_event_of_a_living_user_whose_details_were_removed(
    trail: Trail, is_sealed: bool
) -> None:
    event_id = trail.ids[1] if is_sealed else trail.unsealed
    delete_from_trail(UserRef(uuid4(), uuid4()))
    with transaction() as session:
        session.execute(delete(AuditDetail).where(AuditDetail.event_id == event_id))
    assert fault() == f"the details of event {event_id} were removed"


def test_a_made_up_deletion_of_a_living_user_explains_nothing() -> None:
    user = make_user("dora")
    (event_id,) = write_events(user=user)
    delete_from_trail(user)
    seal_all()
    assert fault() == f"the details of event {event_id} were removed"


def test_it_names_an_event_without_users_whose_details_were_removed(trail: Trail) -> None:
    with transaction() as session:
        forged = forge(session, subject_audit_id=None)
    seal_all()
    assert verify_trail().events == 8
    with transaction() as session:
        session.execute(delete(AuditDetail).where(AuditDetail.event_id == forged))
    assert fault() == f"the details of event {forged} were removed"


def test_a_client_that_acted_is_sealed_with_its_event(trail: Trail) -> None:
    with transaction() as session:
        event_id = forge(session, actor_client_id="an-app")
    seal_all()
    assert verify_trail().events == 8
    change_event(event_id, actor_client_id=None)
    assert fault().startswith(f"event {event_id} was changed")


def test_it_notices_other_details_in_the_place_of_erased_ones(trail: Trail) -> None:
    (row,) = details_of(trail.ids[1])
    with transaction() as session:
        session.execute(delete(AuditDetail).where(AuditDetail.event_id == trail.ids[1]))
        session.execute(insert(AuditDetail), {**row._mapping, "ip": "198.51.100.9"})
    assert fault() == f"the details of event {trail.ids[1]} were changed"


# Batches


def change_batch(seq: int, /, **columns: Any) -> None:
    with transaction() as session:
        session.execute(update(AuditBatch).where(AuditBatch.seq == seq).values(**columns))


def batch_row(seq: int) -> dict[str, Any]:
    (row,) = read_all(select(AuditBatch.__table__).where(AuditBatch.seq == seq))
    return dict(row._mapping)


@pytest.mark.parametrize("seq", [1, 2])
def test_it_names_a_batch_that_was_removed(trail: Trail, seq: int) -> None:
    with transaction() as session:
        session.execute(delete(AuditBatch).where(AuditBatch.seq == seq))
    assert fault() == f"batch {seq} was removed"


BATCH_CHANGES = {
    "event_count": 3,
    "first_event_id": uuid4(),
    "last_event_id": uuid4(),
    "oldest_at": now(),
    "newest_at": now(),
    "sealed_at": now(),
    "events_digest": bytes(32),
    "previous_head": bytes(32),
    "head": bytes(32),
}


def test_it_names_a_batch_that_was_changed(trail: Trail) -> None:
    row = batch_row(2)
    for column, value in BATCH_CHANGES.items():
        change_batch(2, **{column: value})
        assert fault() == "batch 2 was changed or moved: its head does not fit it"
        change_batch(2, **{column: row[column]})
        assert verify_trail().batches == 3, column


@both_databases
def test_every_column_of_a_batch_is_sealed() -> None:
    others = {"seq", "head", "event_digests", "pruned_at", "mac"}
    assert {*HEAD_COLUMNS, *others} == {column.name for column in AuditBatch.__table__.columns}
    assert set(BATCH_CHANGES) == {*HEAD_COLUMNS, "head"} - {"seq"}


def test_it_names_a_batch_whose_digests_were_changed(trail: Trail) -> None:
    for value in (None, b"", bytes(64)):
        change_batch(2, event_digests=value)
        assert fault() == "batch 2 was changed: its digests of events do not fit it"


def test_it_names_batches_that_were_exchanged(trail: Trail) -> None:
    for old, new in ((2, 9), (3, 2), (9, 3)):
        change_batch(old, seq=new)
    assert fault() == "batch 2 was changed or moved: its head does not fit it"


NO_MAC = (
    "was changed, or was made under a secret that is neither SECRET_KEY nor one of "
    "SECRET_KEY_FALLBACKS"
)


def test_without_the_secret_no_batch_can_be_remade(trail: Trail) -> None:
    changed = {**batch_row(2), "event_count": 1}
    change_batch(2, event_count=1, head=batch_head(changed))
    assert fault() == f"batch 2 {NO_MAC}"


def test_it_names_a_batch_that_no_secret_verifies(trail: Trail) -> None:
    for mac in (b"", bytes(32)):
        change_batch(3, mac=mac)
        assert fault() == f"batch 3 {NO_MAC}"


def test_removed_events_do_not_pass_as_pruned(trail: Trail) -> None:
    with unguarded() as session:
        session.execute(delete(AuditEvent).where(AuditEvent.id.in_(trail.ids[:2])))
        session.execute(delete(AuditSeal).where(AuditSeal.batch_seq == 1))
    change_batch(1, pruned_at=now(), event_digests=None)
    assert fault() == f"batch 1 {NO_MAC}"


def test_it_names_a_batch_that_was_made_with_the_secret_and_breaks_the_chain(
    trail: Trail,
) -> None:
    row = {**batch_row(2), "sealed_at": now()}
    head = batch_head(row)
    change_batch(2, sealed_at=row["sealed_at"], head=head, mac=batch_mac(head, None))
    assert fault() == (
        "batch 3 does not follow batch 2: batches were exchanged, put in or taken out"
    )


# The chain's end


def cut_tail(session: Session, trail: Trail) -> None:
    session.execute(delete(AuditEvent).where(AuditEvent.id.in_(trail.ids[2:])))
    session.execute(delete(AuditSeal).where(AuditSeal.batch_seq > 1))
    session.execute(delete(AuditBatch).where(AuditBatch.seq > 1))


@both_databases
def test_it_notices_that_the_tail_was_cut(trail: Trail) -> None:
    with unguarded() as session:
        cut_tail(session, trail)
    assert fault() == ("batch 2 was removed, and all after it: the chain's end is noted at batch 3")


def test_it_notices_a_cut_tail_whose_end_was_noted_without_the_secret(trail: Trail) -> None:
    with unguarded() as session:
        cut_tail(session, trail)
        session.execute(update(AuditChain).values(seq=1, head=batch_row(1)["head"]))
    assert fault() == f"the note of the chain's end, batch 1, {NO_MAC}"


def test_a_head_from_the_log_reveals_an_older_copy(small_slices: None) -> None:
    write_events(2)
    seal_all()
    (old_end,) = read_all(select(AuditChain.__table__))
    ids = write_events(4)
    seal_all()
    logged = {seq: batch_row(seq)["head"] for seq in (1, 3)}
    assert verify_trail(known_heads=logged).batches == 3
    with unguarded() as session:
        session.execute(delete(AuditEvent).where(AuditEvent.id.in_(ids)))
        session.execute(delete(AuditSeal).where(AuditSeal.batch_seq > 1))
        session.execute(delete(AuditBatch).where(AuditBatch.seq > 1))
        session.execute(update(AuditChain).values(dict(old_end._mapping)))
    assert verify_trail().batches == 1, "nothing in the database reveals it"
    with pytest.raises(TamperedError, match="batch 3 was logged, but the chain ends at batch 1"):
        verify_trail(known_heads=logged)
    with pytest.raises(TamperedError, match="batch 1 is not the one that was logged"):
        verify_trail(known_heads={1: bytes(32)})


def test_it_notices_batches_beyond_the_noted_end(trail: Trail) -> None:
    with transaction() as session:
        session.execute(update(AuditChain).values(seq=0, head=bytes(32), mac=b""))
    assert fault().startswith("batch 1 is there, but the chain's end is noted at batch 0")


def test_it_notices_that_the_note_of_the_end_was_removed(trail: Trail) -> None:
    with transaction() as session:
        session.execute(delete(AuditChain))
    assert fault() == "the note of the chain's end was removed (table audit_chain)"


@both_databases
def test_it_notices_that_events_can_be_deleted(trail: Trail) -> None:
    with transaction() as session:
        session.execute(text("UPDATE audit_chain SET is_pruning = true"))
    assert fault() == "events can be deleted: audit_chain.is_pruning was left set"


# Secrets


def test_a_former_secret_still_verifies(trail: Trail, make_app: Callable[..., Flask]) -> None:
    changed = make_app(secret_key=OTHER_SECRET, secret_key_fallbacks=(SECRET,))
    with changed.app_context():
        assert seal_all() == [1]
        assert verify_trail().events == 7
    # Under neither of them alone.
    for secret in (SECRET, OTHER_SECRET):
        with make_app(secret_key=secret).app_context():
            assert NO_MAC in fault()


@both_databases
def test_after_rewrapping_a_former_secret_can_go(
    trail: Trail, make_app: Callable[..., Flask]
) -> None:
    with make_app(secret_key=OTHER_SECRET, secret_key_fallbacks=(SECRET,)).app_context():
        assert list(rewrap_heads()) == [3]
    with make_app(secret_key=OTHER_SECRET).app_context():
        assert verify_trail().events == 6
        change_batch(2, mac=bytes(32))
        assert fault() == f"batch 2 {NO_MAC}"


def test_rewrapping_covers_nothing_that_was_tampered_with(trail: Trail) -> None:
    change_batch(2, mac=bytes(32))
    with pytest.raises(TamperedError, match="no configured secret verifies batch 2"):
        list(rewrap_heads())
    assert fault() == f"batch 2 {NO_MAC}"
