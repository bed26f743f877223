"""Events: handled at once, in order, in the transaction of what they tell."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass

import pytest
from flask import Flask
from sqlalchemy import insert, select

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
from tests.support.marks import on_sqlite


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened(DomainEvent):
    """Something happened."""

    action = AuditAction.KEY_ROTATED


@dataclass(frozen=True, slots=True, kw_only=True)
class HappenedTwice(Happened):
    """A special case of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere(DomainEvent):
    """Something else happened."""

    action = AuditAction.KEY_ROTATED


Subscribe = Callable[..., None]


@pytest.fixture
def subscribed(app: Flask, context: None) -> Subscribe:
    """Replaces the application's subscriptions by those of the test."""

    def subscribe(*subscriptions: Subscription) -> None:
        SUBSCRIPTIONS.fill(app, subscriptions)

    return subscribe


def note_in(heard: list[str], name: str) -> Handler:
    return lambda event: heard.append(f"{name}: {type(event).__name__}")


@on_sqlite
def test_it_is_heard_by_handlers_of_its_class_and_of_its_parents_in_order(
    subscribed: Subscribe,
) -> None:
    heard: list[str] = []
    subscribed(
        (Happened, note_in(heard, "first")),
        (Elsewhere, note_in(heard, "elsewhere")),
        (DomainEvent, note_in(heard, "everything")),
        (HappenedTwice, note_in(heard, "last")),
    )
    with transaction():
        emit(HappenedTwice())
        assert heard == [
            "first: HappenedTwice",
            "everything: HappenedTwice",
            "last: HappenedTwice",
        ], "handlers run at once"
        emit(Happened())
    assert heard[3:] == ["first: Happened", "everything: Happened"]


@on_sqlite
def test_it_is_refused_outside_a_transaction(subscribed: Subscribe) -> None:
    heard: list[str] = []
    subscribed((DomainEvent, note_in(heard, "everything")))
    with pytest.raises(RuntimeError, match="no transaction"):
        emit(Happened())
    assert heard == []


def write_role(name: str) -> None:
    row = {"name": name, "created_at": now(), "updated_at": now()}
    require_transaction().execute(insert(Role), row)


def role_names() -> set[str]:
    return {row.name for row in read_all(select(Role.name))} - {"admin", "user"}


def test_what_a_handler_writes_is_committed_with_what_it_heard_of(subscribed: Subscribe) -> None:
    subscribed((Happened, lambda _event: write_role("of the handler")))
    with transaction():
        write_role("of the use case")
        emit(Happened())
    assert role_names() == {"of the handler", "of the use case"}


def test_a_handler_that_fails_takes_everything_with_it(subscribed: Subscribe) -> None:
    heard: list[str] = []

    def refuse(_event: Happened) -> None:
        raise PermissionError

    def tell_everyone() -> None:
        with transaction():
            write_role("of the use case")
            emit(Happened())

    subscribed(
        (Happened, lambda _event: write_role("of the first handler")),
        (Happened, refuse),
        (Happened, note_in(heard, "after the refusal")),
    )
    with pytest.raises(PermissionError):
        tell_everyone()
    assert role_names() == set()
    assert heard == []


def test_an_event_is_a_visitors_success_unless_it_says_otherwise() -> None:
    event = Happened()
    assert event.actor.user is None
    assert (event.subject, event.request.ip, event.details) == (None, None, {})
    assert event.outcome is Outcome.SUCCESS


def test_nobody_changes_what_has_happened() -> None:
    with pytest.raises(FrozenInstanceError):
        Happened().subject = None  # type: ignore[misc]
