"""GET and PATCH /users/me."""

from collections.abc import Callable
from typing import Any

import time_machine
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from authserve.core.actor import VISITOR, RequestInfo
from authserve.users.accounts import activate, deactivate
from tests.support.clients import Caller, login, register_caller
from tests.support.marks import both_databases
from tests.support.problems import assert_problem

ME = "/api/v1/users/me"


def switch(app: Flask, caller: Caller, how: Callable[..., object]) -> None:
    with app.app_context():
        how(caller.id, actor=VISITOR, request=RequestInfo())


def test_it_shows_the_account_and_no_secret(
    clock: time_machine.Traveller, app: Flask, client: FlaskClient
) -> None:
    alice = register_caller(app, "alice")
    clock.shift(0.5)
    assert login(client, "alice").status_code == 200
    response = alice.get(ME)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.get_json() == {
        "id": str(alice.id),
        "email": "alice@example.com",
        "email_verified": False,
        "username": "alice",
        "display_name": None,
        "locale": None,
        "is_active": True,
        "roles": ["user"],
        "mfa_enabled": False,
        "created_at": "2030-01-01T12:00:00Z",
        "updated_at": "2030-01-01T12:00:00Z",
        "last_login_at": "2030-01-01T12:00:00.500000Z",
    }


def test_it_shows_the_roles_of_this_moment(app: Flask, admin: Caller) -> None:
    assert admin.get(ME).get_json()["roles"] == ["admin", "user"]


def test_a_change_is_shown_in_stored_form(alice: Caller) -> None:
    body = {"username": "Liddell", "display_name": "  Zoe\u0301 ", "locale": "de"}
    changed = alice.patch(ME, json=body)
    assert changed.status_code == 200
    shown = changed.get_json()
    assert (shown["username"], shown["display_name"]) == ("liddell", "Zoé")
    assert shown["locale"] == "de"
    assert alice.get(ME).get_json() == shown
    assert shown["updated_at"] > shown["created_at"]


@both_databases
def test_null_removes_and_what_is_left_out_stays(app: Flask, alice: Caller) -> None:
    alice.patch(ME, json={"display_name": "Alice"})
    shown = alice.patch(ME, json={"username": None}).get_json()
    assert (shown["username"], shown["display_name"]) == (None, "Alice")
    assert login(app.test_client(), "alice").status_code == 401
    assert login(app.test_client(), "alice@example.com").status_code == 200
    unchanged = alice.patch(ME, json={}).get_json()
    assert (unchanged["display_name"], unchanged["updated_at"]) == ("Alice", shown["updated_at"])


@both_databases
def test_a_username_of_another_user_is_refused(alice: Caller, bob: Caller) -> None:
    assert_problem(alice.patch(ME, json={"username": "BOB"}), 409, "username_taken")
    assert alice.get(ME).get_json()["username"] == "alice"


UNACCEPTABLE: dict[str, list[Any]] = {
    # The Kelvin sign would lower-case into a plain "k".
    "username": ["", "a", "a" * 33, "a b", "a@b", ".dot", "émile", "\u212aelvin", 7, ["abc"]],
    "locale": ["fr", "DE", "de-AT", "qps", "", 7],
    "display_name": ["", "  ", "a" * 101, "line\nbreak", "\u202eevil", 7, {"a": 1}],
}


def test_unacceptable_values_are_reported_by_field(alice: Caller) -> None:
    for field, values in UNACCEPTABLE.items():
        for value in values:
            problem = assert_problem(alice.patch(ME, json={field: value}), 422, "validation_failed")
            assert list(problem["errors"]) == [field], value
    assert alice.get(ME).get_json()["username"] == "alice"


NOT_OFFERED = (
    *("email", "email_verified", "is_active", "roles", "role"),
    *("password", "id", "mfa_enabled", "created_at"),
)


def test_users_set_only_the_fields_offered(alice: Caller) -> None:
    before = alice.get(ME).get_json()
    for field in NOT_OFFERED:
        refused = alice.patch(ME, json={field: before.get(field, "x"), "display_name": "Alice"})
        problem = assert_problem(refused, 422, "validation_failed")
        assert problem["errors"] == {field: ["Unknown field."]}
    assert alice.get(ME).get_json() == before


def test_a_request_that_cannot_be_read_is_refused(alice: Caller) -> None:
    def patch(data: bytes, content_type: str = "application/json") -> TestResponse:
        return alice.patch(ME, data=data, content_type=content_type)

    for data in (b"{", b"[]", b'"text"', b"", b'{"username": "a", "username": "b"}', b"\xff"):
        assert_problem(patch(data), 400, "malformed_request")
    assert_problem(patch(b"username=a", "text/plain"), 415, "unsupported_media_type")
    assert_problem(alice.get(f"{ME}?fields=email"), 422, "validation_failed")
    assert_problem(alice.get(ME, json={"username": "a"}), 422, "validation_failed")


def test_strangers_are_refused(client: FlaskClient, alice: Caller) -> None:
    """A stranger here is a caller without a valid token: the path names no user."""
    for method in ("GET", "PATCH"):
        kwargs = {"json": {"display_name": "A"}} if method == "PATCH" else {}
        anonymous = client.open(ME, method=method, **kwargs)
        assert_problem(anonymous, 401, "authentication_required")
        assert anonymous.headers["WWW-Authenticate"] == "Bearer"
        alice.headers = {"Authorization": "Bearer not.a.token"}
        forged = alice.call(method, ME, **kwargs)
        assert_problem(forged, 401, "invalid_token")
        assert forged.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


def test_charlie_changes_no_account_but_his_own(alice: Caller, charlie: Caller) -> None:
    assert charlie.patch(ME, json={"display_name": "Charlie"}).get_json()["id"] == str(charlie.id)
    assert alice.get(ME).get_json()["display_name"] is None


def test_a_token_of_a_deactivated_user_is_refused_at_once_and_for_good(
    app: Flask, alice: Caller
) -> None:
    switch(app, alice, deactivate)
    assert_problem(alice.get(ME), 401, "session_revoked")
    assert_problem(alice.patch(ME, json={"display_name": "A"}), 401, "session_revoked")
    switch(app, alice, activate)
    assert_problem(alice.get(ME), 401, "session_revoked")
