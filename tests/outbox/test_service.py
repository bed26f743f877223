"""Messages: enqueued, claimed, finished, retried, deleted."""

from collections import Counter
from contextlib import suppress
from datetime import timedelta
from threading import Lock
from uuid import UUID, uuid4

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from authserve.core.clock import now
from authserve.database.transactions import db, transaction
from authserve.outbox.delivery import (
    ClaimedMessage,
    claim,
    is_newest_of_topic,
    mark_dropped,
    mark_failed,
    mark_sent,
    require_held,
)
from authserve.outbox.enqueue import close_topic, drop_topic, enqueue
from authserve.outbox.errors import DroppedError, MessageNotFoundError, MessageNotRetryableError
from authserve.outbox.inspect import (
    delete_messages_of,
    find_messages_of,
    get_message,
    list_messages,
    purge_finished_messages,
    retry,
)
from authserve.outbox.models import OutboxMessage
from authserve.outbox.policy import DEAD_RETENTION, HORIZON, LEASE, SENT_RETENTION, MessageState
from tests.outbox.conftest import KIND
from tests.support.crowd import all_at_once, persistently
from tests.support.marks import both_databases, on_postgresql
from tests.support.messages import change_messages, messages, states

pytestmark = [both_databases, pytest.mark.usefixtures("context")]


def owe(name: str = "a", *, topic: str | None = None, user_id: UUID | None = None) -> UUID:
    with transaction():
        return enqueue(KIND, {"name": name}, topic=topic, user_id=user_id)


def claim_one() -> ClaimedMessage:
    claimed = claim([KIND])
    assert claimed is not None
    return claimed


class TestOwing:
    def test_it_belongs_to_the_callers_transaction(self, app: Flask) -> None:
        with suppress(ZeroDivisionError), transaction():
            enqueue(KIND, {"name": "a"})
            raise ZeroDivisionError
        assert messages(app) == []
        owe("b")
        assert [row["payload"] for row in messages(app)] == [{"name": "b", "locale": None}]

    def test_it_cannot_be_enqueued_outside_of_a_transaction(self) -> None:
        with pytest.raises(RuntimeError):
            enqueue(KIND, {})

    def test_the_newest_of_a_topic_wins(self, app: Flask) -> None:
        first, other, second = owe(topic="t"), owe(topic="u"), owe(topic="t")
        assert [(row["id"], row["state"]) for row in messages(app)] == [
            (first, "dropped"),
            (other, "pending"),
            (second, "pending"),
        ]
        assert messages(app, id=first)[0]["last_error"] == "superseded by a newer request"

    def test_a_topic_that_is_rolled_back_supersedes_nothing(self, app: Flask) -> None:
        owe(topic="t")
        with suppress(ZeroDivisionError), transaction():
            enqueue(KIND, {}, topic="t")
            raise ZeroDivisionError
        assert states(app) == {"pending": 1}

    def test_it_drops_a_given_up_message_of_the_topic(self, app: Flask) -> None:
        """It could otherwise be retried after what it was about was replaced or withdrawn."""
        given_up, other = owe(topic="t"), owe(topic="u")
        change_messages(app, state="dead")
        owe(topic="t")
        assert states(app) == {"dropped": 1, "dead": 1, "pending": 1}
        with pytest.raises(MessageNotRetryableError):
            retry(given_up)
        retry(other)
        assert states(app) == {"dropped": 1, "pending": 2}

    def test_it_leaves_sent_messages_of_a_topic_alone(self, app: Flask) -> None:
        owe(topic="t")
        mark_sent(claim_one())
        owe(topic="t")
        assert states(app) == {"sent": 1, "pending": 1}


class TestClaiming:
    def test_it_takes_what_has_been_due_for_longest(self, app: Flask) -> None:
        first, second = owe("first"), owe("second")
        change_messages(app, second, next_attempt_at=now() - timedelta(hours=1))
        assert [claim_one().id, claim_one().id, claim([KIND])] == [second, first, None]

    def test_it_leaves_what_it_cannot_deliver_to_others(self) -> None:
        owe()
        assert claim(["webhook"]) is None
        assert claim([]) is None
        assert claim([KIND, "webhook"]) is not None

    def test_it_leaves_what_is_not_due_yet(self, app: Flask, clock: time_machine.Traveller) -> None:
        change_messages(app, owe(), next_attempt_at=now() + timedelta(seconds=10))
        clock.shift(9.999)
        assert claim([KIND]) is None
        clock.shift(0.001)
        assert claim([KIND]) is not None

    def test_a_lease_ends_when_it_says(self, clock: time_machine.Traveller) -> None:
        owe()
        first = claim_one()
        clock.shift(LEASE - timedelta(microseconds=1))
        assert claim([KIND]) is None
        clock.shift(timedelta(microseconds=1))
        second = claim_one()
        assert (second.id, second.attempts) == (first.id, 2)

    def test_a_worker_without_its_lease_changes_nothing(
        self, app: Flask, clock: time_machine.Traveller
    ) -> None:
        owe()
        slow = claim_one()
        clock.shift(LEASE)
        quick = claim_one()
        mark_sent(slow)
        mark_failed(slow, "too slow")
        assert states(app) == {"pending": 1}
        assert messages(app)[0]["lease_id"] == quick.lease_id
        with pytest.raises(DroppedError), transaction():
            require_held(slow)
        with transaction():
            require_held(quick)

    @on_postgresql
    def test_a_row_that_another_transaction_holds_is_skipped(self) -> None:
        """SQLite has one writer at a time, so there a claim waits instead."""
        held, free = owe(), owe()
        lock = select(OutboxMessage.id).where(OutboxMessage.id == held).with_for_update()
        with db.engine.connect() as other:
            other.execute(lock)
            assert claim_one().id == free
            assert claim([KIND]) is None
        assert claim_one().id == held

    def test_twenty_at_once_never_hold_one_message_together(self, app: Flask) -> None:
        names = [str(number) for number in range(60)]
        with transaction():
            for name in names:
                enqueue(KIND, {"name": name})
        held: Counter[UUID] = Counter()
        lock, delivered = Lock(), []

        def work() -> None:
            with app.app_context():
                while (message := claim([KIND])) is not None:
                    with lock:
                        held[message.id] += 1
                        assert held[message.id] == 1
                    delivered.append(message.payload["name"])
                    persistently(lambda message=message: mark_sent(message))

        all_at_once([work] * 20)
        assert Counter(delivered) == Counter(names)
        assert states(app) == {"sent": 60}


class TestHolding:
    def test_a_message_that_was_dropped_meanwhile_is_not_delivered(self) -> None:
        owe(topic="t")
        message = claim_one()
        with transaction():
            drop_topic("t")
        with pytest.raises(DroppedError), transaction():
            require_held(message)

    def test_simultaneous_requests_leave_one(self, app: Flask) -> None:
        """They cannot see each other, so each leaves a message; the last of them is delivered."""
        with transaction():
            for name in "ab":
                enqueue(KIND, {"name": name})
        change_messages(app, topic="t")
        first, second = claim_one(), claim_one()
        assert (is_newest_of_topic(first), is_newest_of_topic(second)) == (False, True)

    def test_an_older_message_with_a_greater_id_hides_none(self, app: Flask) -> None:
        """Ids carry the time, and the clocks of two machines may differ by half a minute."""
        older = owe(topic="t")
        mark_sent(claim_one())
        change_messages(app, older, id=UUID(int=2**128 - 1))
        owe(topic="t")
        assert is_newest_of_topic(claim_one())


@pytest.mark.usefixtures("clock")
def test_a_topic_is_closed_for_messages_from_a_time_on() -> None:
    owe(topic="t")
    for since, count in ((now() + timedelta(microseconds=1), 0), (now(), 1)):
        with transaction():
            assert close_topic("t", since=since) == count


class TestFinishing:
    def test_it_tries_again_later(self, app: Flask, clock: time_machine.Traveller) -> None:
        owe()
        assert mark_failed(claim_one(), "x" * 300) is MessageState.PENDING
        (row,) = messages(app)
        assert now() <= row["next_attempt_at"] <= now() + timedelta(seconds=2)
        assert (row["lease_id"], row["leased_until"], row["finished_at"]) == (None, None, None)
        assert (row["attempts"], row["last_error"]) == (1, "x" * 200)

    @pytest.mark.parametrize(
        ("age", "state"),
        [(HORIZON - timedelta(microseconds=1), "pending"), (HORIZON, "dead")],
    )
    def test_it_gives_up_after_24_hours(
        self, app: Flask, clock: time_machine.Traveller, age: timedelta, state: str
    ) -> None:
        owe()
        clock.shift(age)
        assert mark_failed(claim_one(), "refused") == state
        assert states(app) == {state: 1}
        assert claim([KIND]) is None or state == "pending"

    def test_it_remembers_why(self, app: Flask, clock: time_machine.Traveller) -> None:
        owe()
        mark_dropped(claim_one(), "no account has this address")
        (row,) = messages(app)
        assert (row["state"], row["last_error"]) == ("dropped", "no account has this address")
        assert row["finished_at"] == now()


class TestRetrying:
    def test_it_gives_a_dead_message_another_24_hours(
        self, app: Flask, clock: time_machine.Traveller
    ) -> None:
        message_id = owe()
        clock.shift(HORIZON)
        mark_failed(claim_one(), "refused")
        retry(message_id)
        assert claim_one().id == message_id
        clock.shift(HORIZON - timedelta(seconds=1))
        assert mark_failed(claim_one(), "refused") is MessageState.PENDING

    def test_it_refuses_what_is_not_dead(self) -> None:
        message_id = owe()
        with pytest.raises(MessageNotRetryableError):
            retry(message_id)
        mark_sent(claim_one())
        with pytest.raises(MessageNotRetryableError):
            retry(message_id)

    def test_it_knows_when_there_is_none(self) -> None:
        with pytest.raises(MessageNotFoundError):
            retry(uuid4())
        with pytest.raises(MessageNotFoundError):
            get_message(uuid4())


class TestKeeping:
    def test_it_lists_the_newest_first(self) -> None:
        ids = [owe() for _ in range(3)]
        mark_sent(claim_one())
        assert [row.id for row in list_messages(limit=2)] == [ids[2], ids[1]]
        sent = list_messages(state=MessageState.SENT, limit=9)
        assert [row.id for row in sent] == [ids[0]]

    def test_it_finds_and_forgets_what_is_about_a_user(self, app: Flask) -> None:
        alice, bob = uuid4(), uuid4()
        theirs = [owe(user_id=alice), owe(topic="reset:alice")]
        other = owe(user_id=bob, topic="reset:bob")
        found = find_messages_of(alice, topics=["reset:alice"], limit=9)
        assert {row.id for row in found} == set(theirs)
        with transaction():
            delete_messages_of(alice, topics=["reset:alice"])
        assert [row["id"] for row in messages(app)] == [other]

    @pytest.mark.parametrize(
        ("state", "retention"),
        [("sent", SENT_RETENTION), ("dropped", SENT_RETENTION), ("dead", DEAD_RETENTION)],
    )
    def test_it_clears_finished_messages_away(
        self, app: Flask, clock: time_machine.Traveller, state: str, retention: timedelta
    ) -> None:
        change_messages(app, owe(), state=state, finished_at=now() - retention)
        assert list(purge_finished_messages()) == []
        clock.shift(timedelta(microseconds=1))
        assert list(purge_finished_messages()) == [1]

    def test_it_never_deletes_pending_messages(self, app: Flask) -> None:
        with time_machine.travel(now() - timedelta(days=400)):
            owe()
        assert list(purge_finished_messages()) == []
        assert states(app) == {"pending": 1}

    def test_it_clears_away_in_slices(self, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("authserve.database.transactions.PURGE_SLICE", 2)
        for _ in range(5):
            owe()
        change_messages(app, state="sent", finished_at=now() - timedelta(days=8))
        assert list(purge_finished_messages()) == [2, 2, 1]
