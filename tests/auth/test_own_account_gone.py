"""An account that is deleted between the token check and what the call does."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from authserve.core.actor import VISITOR, RequestInfo
from authserve.http.authentication import AUTHENTICATOR
from authserve.users.accounts import delete_user
from tests.support.clients import PASSWORD, Caller
from tests.support.marks import both_databases
from tests.support.problems import assert_problem

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
def test_it_is_answered_like_an_ended_session(app: Flask, alice: Caller, call: str) -> None:
    authenticate = AUTHENTICATOR.of(app)

    def authenticate_and_delete(token: str) -> Any:
        found = authenticate(token)
        delete_user(found.actor.signed_in_user, actor=VISITOR, request=RequestInfo())
        return found

    AUTHENTICATOR.fill(app, authenticate_and_delete)
    response = CALLS[call](alice)
    assert_problem(response, 401, "session_revoked")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
