"""Roles of users, and the rule that one administrator always remains."""

from collections.abc import Callable, Sequence
from uuid import UUID

import pytest
from flask import Flask

from authserve.core.actor import VISITOR, Actor, RequestInfo, UserRef
from authserve.core.ids import new_id
from authserve.database.transactions import read_all
from authserve.rbac.assignment import (
    find_missing_roles,
    grant_role,
    holders_of,
    require_role,
    revoke_role,
    roles_of,
    roles_of_many,
    set_roles,
)
from authserve.rbac.errors import RoleNotFoundError
from authserve.rbac.roles import create_role
from authserve.users.accounts import activate, deactivate, delete_user, ref_of
from authserve.users.errors import LastAdminError, UserNotFoundError
from authserve.users.lookup import get_user, get_user_by_reference
from tests.support.audit import events_of
from tests.support.crowd import all_at_once, persistently
from tests.support.marks import both_databases
from tests.support.people import make_user

pytestmark = both_databases

REQUEST = RequestInfo()

ROOT = Actor(permissions=frozenset({"articles:read"}))
"""An actor that may make the roles of these tests."""


@pytest.fixture
def editor_and_author(context: None) -> None:
    """Two roles beside the built-in ones."""
    for name in ("author", "editor"):
        create_role(name, description="", permissions=[], actor=ROOT, request=REQUEST)


@pytest.fixture
def alice(context: None) -> UserRef:
    """Alice's account, with the role of every user."""
    return make_user("alice")


@pytest.fixture
def only_admin(context: None) -> UserRef:
    """The only administrator."""
    return make_user("root", roles=["admin"])


# Setting, granting, revoking


@pytest.mark.usefixtures("editor_and_author")
def test_setting_gives_exactly_the_wanted_roles(alice: UserRef) -> None:
    names = set_roles(alice, ["editor", "author"], actor=VISITOR, request=REQUEST)
    assert names == roles_of(alice.id) == ("author", "editor")
    (event,) = events_of(alice, "user.roles_changed")
    assert event.details == {"granted": ["author", "editor"], "revoked": ["user"]}


def test_setting_the_same_roles_is_no_event(alice: UserRef) -> None:
    assert set_roles(alice, ["user"], actor=VISITOR, request=REQUEST) == ("user",)
    assert events_of(alice, "user.roles_changed") == []


@pytest.mark.usefixtures("editor_and_author")
def test_granting_and_revoking_change_one_role(alice: UserRef) -> None:
    assert grant_role(alice, "editor", actor=VISITOR, request=REQUEST) == ("editor", "user")
    assert revoke_role(alice, "user", actor=VISITOR, request=REQUEST) == ("editor",)
    assert roles_of(alice.id) == ("editor",)


@pytest.mark.usefixtures("editor_and_author")
def test_granting_what_is_held_and_revoking_what_is_not_is_no_event(alice: UserRef) -> None:
    grant_role(alice, "user", actor=VISITOR, request=REQUEST)
    revoke_role(alice, "editor", actor=VISITOR, request=REQUEST)
    assert events_of(alice, "user.roles_changed") == []


UNKNOWN = ["editors", "", "Admin", "a" * 65, "NUL \x00", "\ud800", "admin "]


def test_an_unknown_role_is_refused_and_changes_nothing(alice: UserRef) -> None:
    for name in UNKNOWN:
        for change in (grant_role, revoke_role):
            with pytest.raises(RoleNotFoundError):
                change(alice, name, actor=VISITOR, request=REQUEST)
        with pytest.raises(RoleNotFoundError):
            set_roles(alice, ["admin", name], actor=VISITOR, request=REQUEST)
        with pytest.raises(RoleNotFoundError):
            require_role(name)
    assert roles_of(alice.id) == ("user",)
    assert events_of(alice, "user.roles_changed") == []


def test_missing_roles_are_reported_for_any_text(context: None) -> None:
    assert find_missing_roles(["admin", "user", *UNKNOWN]) == set(UNKNOWN)
    assert find_missing_roles([]) == set()


def test_an_account_that_is_gone_is_refused(context: None) -> None:
    gone = UserRef(new_id(), new_id())
    for change in (grant_role, revoke_role):
        with pytest.raises(UserNotFoundError):
            change(gone, "user", actor=VISITOR, request=REQUEST)


def test_the_roles_of_many_are_read_together(alice: UserRef, only_admin: UserRef) -> None:
    missing = new_id()
    assert roles_of_many([alice.id, only_admin.id, missing]) == {
        alice.id: ("user",),
        only_admin.id: ("admin", "user"),
        missing: (),
    }
    assert [row.user_id for row in read_all(holders_of("admin"))] == [only_admin.id]


@pytest.mark.usefixtures("editor_and_author")
def test_concurrent_grants_and_revokes_of_one_user_lose_none(app: Flask, alice: UserRef) -> None:
    def change(how: Callable[..., object], role: str) -> None:
        with app.app_context():
            persistently(lambda: how(alice, role, actor=VISITOR, request=REQUEST))

    for _ in range(5):
        changes = [(grant_role, "author"), (grant_role, "editor"), (revoke_role, "user")]
        all_at_once([lambda h=how, r=role: change(h, r) for how, role in changes])
        assert roles_of(alice.id) == ("author", "editor")
        changes = [(revoke_role, "author"), (revoke_role, "editor"), (grant_role, "user")]
        all_at_once([lambda h=how, r=role: change(h, r) for how, role in changes])
        assert roles_of(alice.id) == ("user",)


# The last administrator


def test_the_last_administrator_keeps_the_role(only_admin: UserRef) -> None:
    with pytest.raises(LastAdminError):
        revoke_role(only_admin, "admin", actor=VISITOR, request=REQUEST)
    with pytest.raises(LastAdminError):
        set_roles(only_admin, ["user"], actor=VISITOR, request=REQUEST)
    assert roles_of(only_admin.id) == ("admin", "user")
    assert events_of(only_admin, "user.roles_changed") == []


def test_the_last_administrator_can_be_neither_deactivated_nor_deleted(
    only_admin: UserRef,
) -> None:
    with pytest.raises(LastAdminError):
        deactivate(only_admin.id, actor=VISITOR, request=REQUEST)
    with pytest.raises(LastAdminError):
        delete_user(only_admin, actor=VISITOR, request=REQUEST)
    assert get_user(only_admin.id).is_active
    assert events_of(only_admin, "user.deactivated", "user.deleted") == []


def test_an_inactive_administrator_does_not_count(only_admin: UserRef) -> None:
    inactive = make_user("inactive", roles=["admin"])
    deactivate(inactive.id, actor=VISITOR, request=REQUEST)
    with pytest.raises(LastAdminError):
        deactivate(only_admin.id, actor=VISITOR, request=REQUEST)
    revoke_role(inactive, "admin", actor=VISITOR, request=REQUEST)
    assert roles_of(inactive.id) == ("user",)


def test_with_another_administrator_one_may_go(only_admin: UserRef) -> None:
    other = make_user("other", roles=["admin"])
    delete_user(only_admin, actor=VISITOR, request=REQUEST)
    with pytest.raises(LastAdminError):
        deactivate(other.id, actor=VISITOR, request=REQUEST)


def test_a_user_without_the_role_may_go_while_there_is_no_administrator(alice: UserRef) -> None:
    deactivate(alice.id, actor=VISITOR, request=REQUEST)
    activate(alice.id, actor=VISITOR, request=REQUEST)
    delete_user(alice, actor=VISITOR, request=REQUEST)


def resign(user: UserRef) -> None:
    revoke_role(user, "admin", actor=VISITOR, request=REQUEST)


def be_deactivated(user: UserRef) -> None:
    deactivate(user.id, actor=VISITOR, request=REQUEST)


def be_deleted(user: UserRef) -> None:
    delete_user(user, actor=VISITOR, request=REQUEST)


def be_promoted(user: UserRef) -> None:
    grant_role(user, "admin", actor=VISITOR, request=REQUEST)


ENDS = (resign, be_deactivated, be_deleted)


@pytest.mark.parametrize("count", [2, 3, 20])
def test_of_concurrent_ends_of_all_administrators_one_is_refused(
    make_app: Callable[..., Flask], count: int
) -> None:
    # Each has a connection, so that none waits for another.
    app = make_app(database_pool_size=count)
    with app.app_context():
        admins = [make_user(f"admin{number}", roles=["admin"]) for number in range(count)]
    ended = all_at_once([lambda n=n: end(app, ENDS[n % 3], admins[n]) for n in range(count)])
    with app.app_context():
        assert ended.count(True) == count - 1
        assert [ref_of(get_user_by_reference(f"admin{ended.index(False)}"))] == still_admins(admins)


def end(app: Flask, how: Callable[[UserRef], None], user: UserRef) -> bool:
    """Remove an administrator; return False after a refusal."""
    with app.app_context():
        try:
            persistently(lambda: how(user))
        except LastAdminError:
            return False
        return True


def still_admins(users: Sequence[UserRef]) -> list[UserRef]:
    held: dict[UUID, tuple[str, ...]] = roles_of_many([user.id for user in users])
    return [user for user in users if "admin" in held[user.id] and get_user(user.id).is_active]


def test_two_administrators_who_remove_each_other_leave_one(app: Flask) -> None:
    with app.app_context():
        admins = [make_user(name, roles=["admin"]) for name in ("anna", "bert")]
    for _ in range(5):
        ended = all_at_once([lambda u=user: end(app, be_deactivated, u) for user in admins])
        assert sorted(ended) == [False, True]
        with app.app_context():
            activate(admins[ended.index(True)].id, actor=VISITOR, request=REQUEST)


def test_no_user_becomes_the_last_administrator_while_being_deactivated(app: Flask) -> None:
    """A grant and a deactivation of one user, beside the end of the only other administrator."""
    survivors: list[UserRef] = []
    for number in range(5):
        with app.app_context():
            admin = make_user(f"admin{number}", roles=["admin"])
            user = make_user(f"user{number}")
            for earlier in survivors:
                be_deleted(earlier)
        calls = [(be_promoted, user), (be_deactivated, user), (resign, admin)]
        all_at_once([lambda h=how, u=who: end(app, h, u) for how, who in calls])
        with app.app_context():
            survivors = still_admins([admin, user])
        assert survivors
