"""Requests of links whose session or password changes meanwhile."""

from typing import Any

import pytest
from flask import Flask

from authserve.core.actor import VISITOR, Actor, RequestInfo
from authserve.http.callers import AUTHENTICATORS
from authserve.sessions.policy import RevokeReason
from authserve.sessions.revoke import end_sessions
from authserve.users.accounts import delete_user
from authserve.verification.policy import Purpose
from tests.support.clients import PASSWORD
from tests.support.mail import work
from tests.support.marks import both_databases
from tests.support.messages import messages
from tests.support.problems import assert_problem
from tests.verification.conftest import NEW_EMAIL, NEW_PASSWORD, PATHS, Desk

ME = "/api/v1/users/me"
CHANGE = Purpose.CHANGE_EMAIL


@both_databases
@pytest.mark.parametrize("is_sent", [True, False])
def test_a_changed_password_ends_a_pending_change_of_address(desk: Desk, is_sent: bool) -> None:
    """A thief may have asked for it, and could lead the owner to the page of its link."""
    desk.request(CHANGE)
    if is_sent:
        work(desk.app)
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    assert desk.alice.put(f"{ME}/password", json=body).status_code == 204
    work(desk.app)
    assert len(desk.letters(CHANGE)) == is_sent
    for letter in desk.letters(CHANGE):
        answer = desk.alice.post(PATHS[CHANGE], json={"token": letter.token})
        assert_problem(answer, 400, "invalid_or_expired_token")
    assert desk.alice.get(ME).get_json()["email"] == "alice@example.com"
    assert messages(desk.app, topic=f"change_email:{desk.alice.id}") == []


@both_databases
@pytest.mark.parametrize("end", ["session", "account"])
def test_no_change_of_address_is_pending_of_a_session_that_ends_meanwhile(
    app: Flask, desk: Desk, end: str
) -> None:
    alice = desk.alice
    _after_the_token_check(app, lambda actor: _end(actor, end))
    answer = alice.post(f"{ME}/email", json={"new_email": NEW_EMAIL})
    assert_problem(answer, 401, "session_revoked")
    work(app)
    assert desk.letters(CHANGE) == []


def _after_the_token_check(app: Flask, act: Any) -> None:
    (authenticate,) = AUTHENTICATORS.of(app)

    def authenticate_and_act(token: str) -> Any:
        found = authenticate(token)
        act(found.actor)
        return found

    AUTHENTICATORS.fill(app, (authenticate_and_act,))


def _end(actor: Actor, end: str) -> None:
    user = actor.signed_in_user
    if end == "account":
        delete_user(user, actor=VISITOR, request=RequestInfo())
    else:
        end_sessions(user, RevokeReason.LOGOUT_ALL, actor=actor, request=RequestInfo())
