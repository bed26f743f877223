"""The identities of accounts: linked once, used by their owner, gone with the account."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask

from authserve.core.actor import UserRef
from authserve.core.clock import now
from authserve.database.transactions import transaction
from authserve.federation.identities import (
    ProviderIdentity,
    find_email_match,
    find_identities,
    find_owner,
    link_identity,
    record_use,
)
from authserve.federation.policy import KnownAccount
from tests.support.crowd import all_at_once, persistently
from tests.support.marks import both_databases
from tests.support.people import make_user
from tests.support.rows import change_user

ISSUER = "https://accounts.example.com"

ALICE_THERE = ProviderIdentity(issuer=ISSUER, subject="24400320", email="alice@example.com")


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with providers."""
    return make_app(features=("pages", "federation"))


def link(user: UserRef, identity: ProviderIdentity = ALICE_THERE) -> bool:
    with transaction():
        return link_identity(user.id, identity, now=now())


@both_databases
def test_an_identity_becomes_one_account_s(app: Flask) -> None:
    with app.app_context():
        alice, bob = (make_user(name, password_hash="!") for name in ("alice", "bob"))
        assert find_owner(ISSUER, "24400320") is None
        assert link(alice)
        assert not link(alice)
        assert not link(bob)
        assert find_owner(ISSUER, "24400320") == KnownAccount(id=alice.id)
        assert find_owner("https://other.example.com", "24400320") is None
        assert find_owner(ISSUER, "24400321") is None


def test_an_owner_is_known_with_its_state(app: Flask) -> None:
    with app.app_context():
        alice = make_user("alice", password_hash="!", email_verified=True)
        link(alice)
        change_user(app, alice.id, is_active=False)
        expected = KnownAccount(id=alice.id, is_active=False, is_email_verified=True)
        assert find_owner(ISSUER, "24400320") == expected
        assert find_email_match("alice@example.com") == expected
        assert find_email_match("bob@example.com") is None


@both_databases
def test_a_use_is_recorded_only_for_its_owner(app: Flask) -> None:
    moment = now().replace(microsecond=0) + timedelta(minutes=1)
    moved = ProviderIdentity(issuer=ISSUER, subject="24400320", email="alice@example.org")
    with app.app_context():
        alice, bob = (make_user(name, password_hash="!") for name in ("alice", "bob"))
        link(alice)
        with transaction():
            assert not record_use(bob.id, moved, now=moment)
            assert record_use(alice.id, moved, now=moment)
        found = find_identities(alice.id)
        assert [(each.email, each.last_used_at) for each in found] == [(moved.email, moment)]
        assert find_identities(bob.id) == []


@both_databases
def test_twenty_accounts_that_link_one_identity_leave_it_with_one(app: Flask) -> None:
    with app.app_context():
        users = [make_user(f"user{number}", password_hash="!") for number in range(20)]

    def join(user: UserRef) -> bool:
        with app.app_context():
            return persistently(lambda: link(user))

    won = all_at_once([lambda user=user: join(user) for user in users])
    with app.app_context():
        owner = find_owner(ISSUER, "24400320")
        assert owner is not None
        assert [user.id for user, has_won in zip(users, won, strict=True) if has_won] == [owner.id]
