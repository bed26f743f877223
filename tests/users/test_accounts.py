"""Use cases that make, find, change and deactivate accounts."""

from typing import Any

import pytest
import time_machine

from authserve.core.actor import VISITOR, Actor, RequestInfo, UserRef
from authserve.core.clock import now
from authserve.core.ids import new_id
from authserve.database.transactions import transaction
from authserve.users.accounts import NewUser, activate, add_user, deactivate, update_profile
from authserve.users.errors import EmailTakenError, UsernameTakenError, UserNotFoundError
from authserve.users.lists import UserFilters, find_ids_by_identifier, search_users
from authserve.users.lookup import find_by_email, get_user, get_user_by_reference, is_any_active
from authserve.users.models import User
from tests.support.audit import events_of
from tests.support.marks import both_databases
from tests.support.people import make_user

pytestmark = both_databases

REQUEST = RequestInfo()


def add(**fields: str) -> User:
    with transaction():
        return add_user(NewUser(**fields))  # type: ignore[arg-type]


@pytest.fixture
def alice(context: None) -> UserRef:
    """Alice's account."""
    return make_user("alice")


@pytest.fixture
def bob(context: None) -> UserRef:
    """Bob's account."""
    return make_user("bob")


def change(user: UserRef, **changes: str | None) -> User:
    return update_profile(user, changes, actor=Actor(user=user), request=REQUEST)


# Making and finding


def test_a_new_account_is_active_and_has_never_signed_in(
    clock: time_machine.Traveller, context: None
) -> None:
    user = add(email="alice@example.com", display_name="Alice")
    assert (user.is_active, user.email_verified, user.mfa_enabled) == (True, False, False)
    assert (user.username, user.password_hash, user.last_login_at) == (None, None, None)
    assert user.created_at == user.updated_at == now()
    assert user.audit_id == user.id


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"email": "alice@example.com"}, EmailTakenError),
        ({"email": "other@example.com", "username": "alice"}, UsernameTakenError),
        # The databases differ in which of the two they report.
        (
            {"email": "alice@example.com", "username": "alice"},
            (EmailTakenError, UsernameTakenError),
        ),
    ],
)
def test_what_another_account_has_is_taken(
    alice: UserRef, fields: dict[str, str], error: Any
) -> None:
    with pytest.raises(error):
        add(**fields)
    assert find_by_email("other@example.com") is None
    assert get_user(alice.id).username == "alice"


def test_accounts_without_a_username_do_not_exclude_each_other(context: None) -> None:
    add(email="alice@example.com")
    add(email="bob@example.com")


def test_an_account_is_found_by_id_address_and_username_in_any_letter_case(alice: UserRef) -> None:
    for reference in (str(alice.id), "alice", "ALICE", " Alice@EXAMPLE.com "):
        assert get_user_by_reference(reference).id == alice.id
    for unknown in ("bob", "", "bob@example.com", "no name", "\x00", "\ud800", str(new_id())):
        with pytest.raises(UserNotFoundError):
            get_user_by_reference(unknown)


def test_a_username_of_32_hex_digits_names_its_holder_alone(alice: UserRef) -> None:
    with pytest.raises(UserNotFoundError):
        get_user_by_reference(alice.id.hex)
    namesake = add(email="namesake@example.com", username=alice.id.hex)
    assert get_user_by_reference(alice.id.hex).id == namesake.id
    assert get_user_by_reference(str(alice.id)).id == alice.id


def test_owners_of_many_identifiers_are_found_together(alice: UserRef, bob: UserRef) -> None:
    many = [f"unknown{number}" for number in range(1_200)]
    found = find_ids_by_identifier([*many, "alice", "bob@example.com"])
    assert found == {"alice": alice.id, "bob@example.com": bob.id}


# The profile


def test_a_profile_takes_and_removes_a_username_and_a_display_name(
    clock: time_machine.Traveller, alice: UserRef
) -> None:
    clock.shift(1)
    user = change(alice, username="liddell", display_name="Alice Liddell")
    assert (user.username, user.display_name) == ("liddell", "Alice Liddell")
    assert user.name_key == "alice liddell"
    assert user.updated_at == now() > user.created_at

    user = change(alice, username=None, display_name=None)
    assert (user.username, user.display_name, user.name_key) == (None, None, None)
    events = events_of(alice, "user.profile_changed")
    assert [event.details for event in events] == [{"fields": ["display_name", "username"]}] * 2
    assert {event.actor for event in events} == {alice.audit_id}


def test_an_event_names_what_changed_and_not_what_was_sent(alice: UserRef) -> None:
    change(alice, username="alice", display_name="Alice")
    (event,) = events_of(alice, "user.profile_changed")
    assert event.details == {"fields": ["display_name"]}


def test_the_same_values_change_nothing(clock: time_machine.Traveller, alice: UserRef) -> None:
    before = get_user(alice.id).updated_at
    clock.shift(1)
    for changes in ({}, {"username": "alice"}, {"username": "alice", "display_name": None}):
        assert change(alice, **changes).updated_at == before  # type: ignore[arg-type]
    assert events_of(alice, "user.profile_changed") == []


def test_a_taken_username_changes_nothing(alice: UserRef, bob: UserRef) -> None:
    with pytest.raises(UsernameTakenError):
        change(alice, username="bob", display_name="Not Bob")
    user = get_user(alice.id)
    assert (user.username, user.display_name) == ("alice", None)
    assert events_of(alice, "user.profile_changed") == []


def test_a_username_that_was_given_up_can_be_taken_back(alice: UserRef, bob: UserRef) -> None:
    change(alice, username=None)
    with pytest.raises(UsernameTakenError):
        change(bob, username="alice")
    assert change(alice, username="alice").username == "alice"


def test_the_profile_of_a_missing_account_cannot_change(context: None) -> None:
    with pytest.raises(UserNotFoundError):
        change(UserRef(new_id(), new_id()), username="alice")


# Switching on and off


def test_switching_is_idempotent_and_audited_once(
    clock: time_machine.Traveller, alice: UserRef
) -> None:
    for switch, is_active in ((activate, True), (deactivate, False), (activate, True)):
        clock.shift(1)
        assert switch(alice.id, actor=VISITOR, request=REQUEST).is_active is is_active
        switched_at = get_user(alice.id).updated_at
        clock.shift(1)
        assert switch(alice.id, actor=VISITOR, request=REQUEST).is_active is is_active
        assert get_user(alice.id).updated_at == switched_at
        with transaction():
            assert is_any_active([alice.id, new_id()]) is is_active
    events = events_of(alice, "user.activated", "user.deactivated")
    assert [event.action for event in events] == ["user.deactivated", "user.activated"]


def test_a_missing_account_cannot_be_switched(context: None) -> None:
    for switch in (activate, deactivate):
        with pytest.raises(UserNotFoundError):
            switch(new_id(), actor=VISITOR, request=REQUEST)


def test_nothing_is_written_when_the_use_case_fails(alice: UserRef) -> None:
    def fail() -> None:
        with transaction():
            change(alice, username="liddell")
            deactivate(alice.id, actor=VISITOR, request=REQUEST)
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    user = get_user(alice.id)
    assert (user.username, user.is_active) == ("alice", True)
    assert events_of(alice, "user.profile_changed", "user.deactivated") == []


def test_there_is_no_account_at_first(context: None) -> None:
    """There is no default account (ASVS 6.3.2): the migrations make roles without holders."""
    assert search_users(UserFilters(), limit=10) == []
