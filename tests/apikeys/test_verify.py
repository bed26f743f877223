"""Verification of API keys by other services."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask

from authserve.apikeys.verify import verify_key
from authserve.core.key_text import new_key_text
from tests.apikeys.conftest import OWN, MakeKey
from tests.http.test_cost import statements_of_sqlite
from tests.support.clients import Caller
from tests.support.rows import change_role, change_user

VERIFY = "/api/v1/api-keys/verify"

INACTIVE = {"active": False}


@pytest.fixture
def service(admin: Caller) -> Caller:
    """A service that may verify keys."""
    return admin


def verify(service: Caller, key: str, *scopes: str) -> dict[str, Any]:
    """Return what the service learns of a key."""
    answer = service.post(VERIFY, json={"key": key, "scopes": list(scopes)})
    assert answer.status_code == 200
    document: dict[str, Any] = answer.get_json()
    return document


def test_a_service_learns_who_owns_a_key_and_what_it_may_do(
    service: Caller, alice: Caller, make_key: MakeKey
) -> None:
    made = make_key(alice, expires_in=timedelta(hours=1))
    found = verify(service, made.key, "account")
    assert found.pop("exp") > 0
    assert found == {
        "active": True,
        "sufficient": True,
        "sub": str(alice.id),
        "key_id": str(made.id),
        "scope": "account",
        "username": "alice",
    }
    # The service's address is not the program's.
    (listed,) = alice.get(OWN).get_json()["items"]
    assert listed["last_used_at"] is not None
    assert listed["last_used_ip"] is None


def test_a_missing_scope_is_insufficient(service: Caller, alice: Caller, make_key: MakeKey) -> None:
    found = verify(service, make_key(alice).key, "account", "reports:read")
    assert (found["active"], found["sufficient"]) == (True, False)


def test_it_learns_nothing_of_other_keys(
    clock: time_machine.Traveller,
    app: Flask,
    service: Caller,
    alice: Caller,
    make_key: MakeKey,
) -> None:
    made = make_key(alice, expires_in=timedelta(seconds=60))
    assert verify(service, made.key)["active"] is True
    assert verify(service, new_key_text("ask_")) == INACTIVE
    assert verify(service, alice.tokens["access_token"][:200]) == INACTIVE
    change_user(app, alice.id, is_active=False)
    assert verify(service, made.key) == INACTIVE
    change_user(app, alice.id, is_active=True)
    assert verify(service, made.key)["active"] is True
    clock.shift(60)
    assert verify(service, made.key) == INACTIVE


def test_a_check_is_one_statement_and_a_typing_error_none(
    app: Flask, alice: Caller, make_key: MakeKey
) -> None:
    key = make_key(alice).key
    wrong = key[:10] + ("a" if key[10] != "a" else "b") + key[11:]
    with app.app_context():
        # The first use is written; those of the next minute are not.
        verify_key(key, scopes=[])
        with statements_of_sqlite() as heard:
            assert verify_key(key, scopes=[])["active"] is True
        assert [text.partition(" ")[0] for text in heard] == ["SELECT"]
        with statements_of_sqlite() as heard:
            assert verify_key(wrong, scopes=[]) == INACTIVE
        assert heard == []


def test_a_role_that_is_lost_or_sleeps_takes_its_permissions_along(
    app: Flask, service: Caller, make_key: MakeKey
) -> None:
    """The owner is the administrator, whose role holds everything, and the key does not."""
    made = make_key(service, "users:read", "account")
    assert verify(service, made.key)["scope"] == "account users:read"
    change_role(app, "admin", requires_mfa=True)
    with app.app_context():
        assert verify_key(made.key, scopes=["users:read"])["sufficient"] is False
    change_role(app, "admin", requires_mfa=False)
    assert verify(service, made.key, "users:read")["sufficient"] is True


def test_only_services_verify(alice: Caller, make_key: MakeKey) -> None:
    assert alice.post(VERIFY, json={"key": make_key(alice).key}).status_code == 403
