"""An account that is deleted or deactivated while its access token is still valid."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.events import SUBSCRIPTIONS
from authserve.http.callers import AUTHENTICATORS
from authserve.users.accounts import deactivate, delete_user
from tests.support.clients import PASSWORD, Caller
from tests.support.marks import both_databases
from tests.support.problems import assert_problem
from tests.support.rows import live_session_row

NEW = {"current_password": PASSWORD, "new_password": "another horse, another staple"}

CALLS: dict[str, Callable[[Caller], TestResponse]] = {
    "profile": lambda caller: caller.patch("/api/v1/users/me", json={"display_name": "Alice"}),
    "password": lambda caller: caller.put("/api/v1/users/me/password", json=NEW),
    "deletion": lambda caller: caller.delete("/api/v1/users/me"),
    "export": lambda caller: caller.get("/api/v1/users/me/export"),
    "reauthentication": lambda caller: caller.post(
        "/api/v1/auth/reauthenticate", json={"password": PASSWORD}
    ),
}


@both_databases
@pytest.mark.parametrize("call", CALLS)
def test_deletion_after_the_token_check_is_answered_like_an_ended_session(
    app: Flask, alice: Caller, call: str
) -> None:
    (authenticate,) = AUTHENTICATORS.of(app)

    def authenticate_and_delete(token: str) -> Any:
        found = authenticate(token)
        delete_user(found.actor.signed_in_user, actor=VISITOR, request=RequestInfo())
        return found

    AUTHENTICATORS.fill(app, (authenticate_and_delete,))
    response = CALLS[call](alice)
    assert_problem(response, 401, "session_revoked")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_the_token_of_a_deactivated_account_is_refused_without_any_event(
    app: Flask, alice: Caller, admin: Caller
) -> None:
    """An event ends the sessions; without its handlers, the token check reads the account."""
    token = {"token": alice.tokens["access_token"]}
    assert admin.post("/api/v1/auth/introspect", json=token).get_json()["active"] is True
    SUBSCRIPTIONS.fill(app, ())
    with app.app_context():
        deactivate(alice.id, actor=VISITOR, request=RequestInfo())
        assert live_session_row(app, alice.session_id)["revoked_at"] is None
    for call in CALLS.values():
        assert_problem(call(alice), 401, "session_revoked")
    assert admin.post("/api/v1/auth/introspect", json=token).get_json() == {"active": False}
