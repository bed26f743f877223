"""Events: handled at once, in order, in the transaction of the change that they describe."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import insert, select

from authserve.core.actor import VISITOR, Actor, RequestInfo, UserRef
from authserve.core.clock import now
from authserve.core.events import (
    SUBSCRIPTIONS,
    AuditAction,
    DomainEvent,
    Handler,
    Outcome,
    Subscription,
)
from authserve.database.emit import emit
from authserve.database.transactions import read_all, require_transaction, transaction
from authserve.rbac.models import Role
from tests.support.marks import both_databases, on_sqlite

pytestmark = both_databases

CREATED, CHANGED, DELETED = (
    AuditAction.ROLE_CREATED,
    AuditAction.ROLE_CHANGED,
    AuditAction.ROLE_DELETED,
)


def happen(action: AuditAction = CREATED) -> None:
    """Emit an event of which only the action matters."""
    emit(action, actor=VISITOR, request=RequestInfo())


Subscribe = Callable[..., None]


@pytest.fixture
def subscribed(app: Flask, context: None) -> Subscribe:
    """Replace the application's subscriptions by those of the test."""

    def subscribe(*subscriptions: Subscription) -> None:
        SUBSCRIPTIONS.fill(app, subscriptions)

    return subscribe


def note_in(heard: list[str], name: str) -> Handler:
    return lambda event: heard.append(f"{name}: {event.action}")


@on_sqlite
def test_the_handlers_of_its_action_are_called_in_order(subscribed: Subscribe) -> None:
    heard: list[str] = []
    subscribed(
        ({CREATED, CHANGED}, note_in(heard, "first")),
        ({DELETED}, note_in(heard, "another")),
        (set(AuditAction), note_in(heard, "every")),
        ({CREATED}, note_in(heard, "last")),
    )
    with transaction():
        happen(CREATED)
        assert heard == [
            "first: role.created",
            "every: role.created",
            "last: role.created",
        ], "handlers run at once"
        happen(CHANGED)
    assert heard[3:] == ["first: role.changed", "every: role.changed"]


@on_sqlite
def test_it_is_refused_outside_a_transaction(subscribed: Subscribe) -> None:
    heard: list[str] = []
    subscribed((set(AuditAction), note_in(heard, "every")))
    with pytest.raises(RuntimeError, match="no transaction"):
        happen()
    assert heard == []


def write_role(name: str) -> None:
    row = {"name": name, "created_at": now(), "updated_at": now()}
    require_transaction().execute(insert(Role), row)


def role_names() -> set[str]:
    return {row.name for row in read_all(select(Role.name))} - {"admin", "user"}


def test_what_a_handler_writes_is_committed_with_its_event(subscribed: Subscribe) -> None:
    subscribed(({CREATED}, lambda _event: write_role("of the handler")))
    with transaction():
        write_role("of the use case")
        happen()
    assert role_names() == {"of the handler", "of the use case"}


def test_a_handler_that_fails_takes_everything_with_it(subscribed: Subscribe) -> None:
    heard: list[str] = []

    def refuse(_event: DomainEvent) -> None:
        raise PermissionError

    def tell_everyone() -> None:
        with transaction():
            write_role("of the use case")
            happen()

    subscribed(
        ({CREATED}, lambda _event: write_role("of the first handler")),
        ({CREATED}, refuse),
        ({CREATED}, note_in(heard, "after the refusal")),
    )
    with pytest.raises(PermissionError):
        tell_everyone()
    assert role_names() == set()
    assert heard == []


@on_sqlite
def test_an_event_is_a_success_without_subject_and_details_by_default(
    subscribed: Subscribe,
) -> None:
    (event,) = events_of(subscribed, lambda: happen(CHANGED))
    assert event.outcome is Outcome.SUCCESS
    assert (event.subject, event.details) == (None, {})


@on_sqlite
def test_handlers_get_what_was_emitted_and_cannot_change_it(subscribed: Subscribe) -> None:
    facts: dict[str, Any] = {
        "action": DELETED,
        "actor": Actor(user=UserRef(UUID(int=1), UUID(int=2))),
        "request": RequestInfo(ip="192.0.2.1", user_agent="curl", correlation_id="abc"),
        "subject": UserRef(UUID(int=3), UUID(int=4)),
        "details": {"role": "editor"},
        "outcome": Outcome.FAILURE,
    }
    (event,) = events_of(subscribed, lambda: emit(**facts))
    assert event == DomainEvent(**facts)
    with pytest.raises(FrozenInstanceError):
        event.subject = None  # type: ignore[misc]


def events_of(subscribed: Subscribe, act: Callable[[], None]) -> list[DomainEvent]:
    """The events that reach a handler of every action while `act` runs."""
    events: list[DomainEvent] = []
    subscribed((set(AuditAction), events.append))
    with transaction():
        act()
    return events
