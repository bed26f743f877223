"""A request for a reset link is audited, though only the worker finds its account."""

from typing import Any

from flask import Flask

from authserve.mail.mailer import MAILER
from authserve.verification.policy import Purpose
from authserve.verification.requests import RESET_REQUEST
from tests.support.clients import Caller
from tests.support.mail import work
from tests.support.marks import both_databases
from tests.support.messages import messages
from tests.support.rows import audit_trail
from tests.verification.conftest import Desk

ACTION = "password.reset_requested"


def forget(app: Flask, email: str, correlation_id: str) -> None:
    answer = app.test_client().post(
        "/api/v1/auth/password/forgot",
        json={"email": email},
        headers={"X-Correlation-ID": correlation_id},
    )
    assert answer.status_code == 202


def test_each_request_is_audited_once_with_its_id(desk: Desk, admin: Caller) -> None:
    work(desk.app)
    for number in range(3):
        forget(desk.app, "alice@example.com", f"request-{number}")
    work(desk.app)
    path = f"/api/v1/audit-events?action={ACTION}&subject_id={desk.alice.id}"
    found = admin.get(path).get_json()["items"]
    assert [event["correlation_id"] for event in found] == ["request-2", "request-1", "request-0"]
    assert {(event["actor_id"], event["outcome"]) for event in found} == {(None, "success")}
    # Only the newest link was sent.
    assert len(desk.letters(Purpose.RESET_PASSWORD)) == 1
    (mail,) = messages(desk.app, kind="reset_password", state="sent")
    assert mail["correlation_id"] == "request-2"


@both_databases
def test_an_unknown_address_leaves_neither_event_nor_trace(desk: Desk) -> None:
    forget(desk.app, "stranger@example.com", "request-1")
    assert len(messages(desk.app, kind=RESET_REQUEST)) == 1
    work(desk.app)
    assert audit_trail(desk.app, ACTION) == []
    assert messages(desk.app, kind=RESET_REQUEST) == []


def test_a_mail_server_that_is_away_does_not_delay_it(desk: Desk) -> None:
    class Away:
        is_ready = False

    MAILER.fill(desk.app, Away())
    forget(desk.app, "alice@example.com", "request-1")
    work(desk.app)
    assert len(audit_trail(desk.app, ACTION)) == 1


def test_a_deactivated_account_gets_the_event_and_no_link(desk: Desk, admin: Caller) -> None:
    path = f"/api/v1/users/{desk.alice.id}"
    assert admin.patch(path, json={"is_active": False}).status_code == 200
    forget(desk.app, "alice@example.com", "request-1")
    work(desk.app)
    found: list[Any] = audit_trail(desk.app, ACTION)
    assert len(found) == 1
    assert [m["state"] for m in messages(desk.app, kind="reset_password")] == ["dropped"]
