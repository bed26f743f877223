"""A user's own events, for programs and for people."""

from flask import Flask

from authserve.audit.own_events import find_activity, find_own_events
from authserve.core.actor import Actor, RequestInfo
from authserve.core.events import AuditAction
from authserve.database.emit import emit
from authserve.database.transactions import db, transaction
from authserve.users.accounts import ref_of
from authserve.users.lookup import get_user
from tests.support.clients import Caller
from tests.support.databases import executed
from tests.support.marks import both_databases


def test_an_event_without_a_subject_is_about_no_other_user(app: Flask, alice: Caller) -> None:
    with app.app_context():
        user = ref_of(get_user(alice.id))
        with transaction():
            emit(AuditAction.CLIENT_CREATED, actor=Actor(user=user), request=RequestInfo())
        (newest,) = find_activity(user, limit=1)
        assert newest.action == "client.created"
        assert (newest.is_by_another, newest.is_about_another) == (False, False)


@both_databases
def test_people_read_the_events_that_programs_read_by_one_statement(
    app: Flask, alice: Caller, admin: Caller
) -> None:
    admin.patch(f"/api/v1/users/{alice.id}", json={"display_name": "Alice"})
    alice.patch("/api/v1/users/me", json={"display_name": "Al"})
    with app.app_context():
        for caller, others in ((alice, 1), (admin, 0)):
            user = ref_of(get_user(caller.id))
            events = find_own_events(user, limit=10)
            with executed(db.engine) as sent:
                activity = find_activity(user, limit=10)
            assert len(sent) == 1
            shared = ("id", "occurred_at", "action", "outcome", "ip", "user_agent", "details")
            for event, read in zip(events, activity, strict=True):
                for name in (*shared, "correlation_id"):
                    assert getattr(event, name) == getattr(read, name)
                assert read.is_by_another is (event.actor_id not in (None, caller.id))
                assert read.is_about_another is (event.subject_id not in (None, caller.id))
            assert [event.ip for event in activity if event.is_by_another] == [None] * others
            first, second = find_activity(user, limit=2)
            assert find_activity(user, limit=10, before=first.id)[0] == second
