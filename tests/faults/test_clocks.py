"""Machines whose clocks differ, and clocks that jump."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask

from authserve.database.transactions import transaction
from authserve.sessions.models import Session
from tests.support.clients import Caller, login, register_caller, sign_in
from tests.support.marks import both_databases, on_postgresql

pytestmark = [both_databases, pytest.mark.fault]

APART = timedelta(seconds=30)
HOUR = timedelta(hours=1)

REFRESH = "/api/v1/auth/refresh"
ME = "/api/v1/users/me"


@contextmanager
def ahead_by(difference: timedelta) -> Iterator[None]:
    """Set this machine's clock ahead of the others; it keeps running."""
    with time_machine.travel(datetime.now(UTC) + difference):
        yield


@pytest.fixture
def nodes(make_app: Callable[..., Flask]) -> tuple[Flask, Flask]:
    """Two machines on one database."""
    return make_app(), make_app()


def refresh(app: Flask, token: str) -> tuple[int, str]:
    """Return the status of a refresh, and the new refresh token or the code of the refusal."""
    answer = app.test_client().post(REFRESH, json={"refresh_token": token})
    body = answer.get_json()
    return answer.status_code, body.get("refresh_token") or body["code"]


def look(app: Flask, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return app.test_client().get(ME, headers=headers).status_code


@pytest.mark.parametrize("difference", [-APART, APART], ids=["behind", "ahead"])
def test_what_one_machine_issues_another_takes(
    difference: timedelta, nodes: tuple[Flask, Flask]
) -> None:
    one, other = nodes
    alice = register_caller(one, "alice")
    with ahead_by(difference):
        assert look(other, alice.tokens["access_token"]) == 200
        bob = register_caller(other, "bob")
        again = sign_in(other.test_client(), "alice", user=alice.user)
        status, token = refresh(other, alice.tokens["refresh_token"])
        assert status == 200
    assert look(one, bob.tokens["access_token"]) == 200
    assert look(one, again.tokens["access_token"]) == 200
    assert refresh(one, token)[0] == 200
    assert refresh(one, bob.tokens["refresh_token"])[0] == 200


@on_postgresql
@pytest.mark.parametrize("difference", [-APART, APART], ids=["behind", "ahead"])
def test_a_retry_on_another_machine_is_no_reuse(
    difference: timedelta, nodes: tuple[Flask, Flask]
) -> None:
    """The first answer was lost, and the retry meets the other machine: seconds have passed.

    The database's clock, which both share, decides the grace; by their own it would be over,
    or not begin for half a minute.
    """
    one, other = nodes
    alice = register_caller(one, "alice")
    first = alice.tokens["refresh_token"]
    status, second = refresh(one, first)
    assert status == 200
    with ahead_by(difference):
        assert refresh(other, first)[0] == 200
        assert refresh(other, second)[0] == 200
    assert refresh(one, second)[0] == 200


@on_postgresql
@pytest.mark.parametrize("difference", [-APART, timedelta(0), APART], ids=["behind", "0", "ahead"])
def test_reuse_is_detected_by_any_machines_clock(
    difference: timedelta, nodes: tuple[Flask, Flask]
) -> None:
    one, other = nodes
    alice = register_caller(one, "alice")
    first = alice.tokens["refresh_token"]
    assert refresh(one, first)[0] == 200
    let_pass(alice, one, timedelta(seconds=11))
    with ahead_by(difference):
        assert refresh(other, first) == (401, "token_reused")


def let_pass(caller: Caller, app: Flask, interval: timedelta) -> None:
    """Move the session's last refresh back in time."""
    with app.app_context(), transaction() as session:
        row = session.get_one(Session, caller.session_id)
        assert row.rotated_at is not None
        row.rotated_at -= interval


@pytest.mark.parametrize("jump", [-HOUR, HOUR], ids=["back", "forward"])
def test_a_jump_of_the_clock_revives_nothing(jump: timedelta, app: Flask) -> None:
    """A spent refresh token stays spent, and an ended session stays ended."""
    alice, bob = register_caller(app, "alice"), register_caller(app, "bob")
    spent = alice.tokens["refresh_token"]
    assert refresh(app, spent)[0] == 200
    let_pass(alice, app, timedelta(seconds=11))
    assert bob.post("/api/v1/auth/logout").status_code == 204
    with ahead_by(jump):
        assert refresh(app, bob.tokens["refresh_token"])[0] == 401
        assert look(app, bob.tokens["access_token"]) == 401
        assert refresh(app, spent)[0] == 401
    assert refresh(app, spent)[0] == 401
    assert login(app.test_client(), "alice").status_code == 200


def test_what_was_spent_before_a_jump_back_stays_spent(app: Flask) -> None:
    """The clock may have been wrong in either direction."""
    alice = register_caller(app, "alice")
    spent = alice.tokens["refresh_token"]
    with ahead_by(HOUR):
        assert look(app, alice.tokens["access_token"]) == 401
        status, fresh = refresh(app, spent)
        assert status == 200
    assert refresh(app, spent)[0] == 401
    assert refresh(app, fresh)[0] == 401
