"""Filling what accounts lack: only what is still missing when it is written."""

from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from authserve.database.transactions import transaction
from authserve.users.bulk import ImportedUser
from authserve.users.errors import UsernameTakenError
from authserve.users.filling import (
    fill_users_in_bulk,
    find_stored_users,
    is_hash_stored,
    plan_fill,
)
from authserve.users.lookup import get_user
from authserve.users.models import User
from authserve.users.released_usernames import release_username
from tests.support.marks import both_databases
from tests.support.people import make_user

pytestmark = both_databases

IMPORTED = ImportedUser(
    email="ann@example.com",
    username="ann",
    display_name="Ann",
    password_hash="imported",
    email_verified=True,
    last_login_at=datetime(2020, 1, 2, tzinfo=UTC),
)


def change(user_id: Any, **values: Any) -> None:
    with transaction() as session:
        session.execute(update(User).where(User.id == user_id).values(**values))


@pytest.fixture
def user_id(app: Flask) -> Any:
    with app.app_context():
        user = make_user("someone")
        empty = {"username": None, "display_name": None, "name_key": None, "password_hash": None}
        change(
            user.id,
            **empty,
            email_verified=False,
            activated_at=None,
            last_login_at=None,
            password_version=7,
        )
        return user.id


def fill(user_id: Any, imported: ImportedUser = IMPORTED, **meanwhile: Any) -> Any:
    planned = plan_fill(find_stored_users([user_id])[user_id], imported)
    if meanwhile:
        change(user_id, **meanwhile)
    with transaction():
        fill_users_in_bulk([planned])
    return get_user(user_id)


def test_it_fills_what_is_missing(app: Flask, user_id: Any) -> None:
    with app.app_context():
        user = fill(user_id)
    assert (user.username, user.display_name, user.name_key) == ("ann", "Ann", "ann")
    assert (user.password_hash, user.password_version) == ("imported", 8)
    assert (user.email_verified, user.last_login_at) == (True, IMPORTED.last_login_at)


def test_what_the_owner_set_meanwhile_stays(app: Flask, user_id: Any) -> None:
    with app.app_context():
        user = fill(user_id, username="own", password_hash="own", password_version=8)
    assert (user.username, user.display_name) == ("own", "Ann")
    assert (user.password_hash, user.password_version) == ("own", 8)
    assert not user.email_verified


@pytest.mark.parametrize(("stored_hash", "is_verified"), [("imported", True), ("own", False)])
def test_an_address_is_verified_with_the_imported_password_alone(
    app: Flask, user_id: Any, stored_hash: str, is_verified: bool
) -> None:
    with app.app_context():
        change(user_id, password_hash=stored_hash)
        user = fill(user_id)
    assert user.email_verified is is_verified
    assert user.password_version == 7


@pytest.mark.parametrize("is_late", [False, True])
def test_an_account_that_a_provider_opened_is_not_joined(
    app: Flask, user_id: Any, is_late: bool
) -> None:
    """Its first holder may be a stranger, whose identity there still opens it."""
    opened = {"activated_at": datetime(2026, 1, 2, tzinfo=UTC)}
    with app.app_context():
        if not is_late:
            change(user_id, **opened)
        user = fill(user_id, **(opened if is_late else {}))
    assert (user.email_verified, user.password_hash, user.password_version) == (False, None, 7)
    assert user.display_name == "Ann"


def test_a_verified_account_without_a_password_gets_the_imported_one(
    app: Flask, user_id: Any
) -> None:
    with app.app_context():
        change(user_id, activated_at=datetime(2026, 1, 2, tzinfo=UTC), email_verified=True)
        user = fill(user_id)
    assert (user.password_hash, user.password_version) == ("imported", 8)


def test_a_username_that_was_taken_meanwhile_is_reported(app: Flask, user_id: Any) -> None:
    with app.app_context():
        make_user("ann")
        with pytest.raises(UsernameTakenError):
            fill(user_id)
        assert get_user(user_id).password_hash is None


def test_a_username_that_is_held_for_another_account_is_reported(app: Flask, user_id: Any) -> None:
    with app.app_context():
        former = make_user("bob")
        with transaction():
            release_username("ann", former_owner=former.id)
        with pytest.raises(UsernameTakenError):
            fill(user_id)


def test_a_stored_hash_is_found_by_its_exact_beginning(app: Flask, user_id: Any) -> None:
    with app.app_context():
        change(user_id, password_hash="fl_sk%1$rest")
        assert is_hash_stored("fl_sk%1$")
        assert not is_hash_stored("fl_sk%2$")
        assert not is_hash_stored("__")
        assert not is_hash_stored("%$rest")
