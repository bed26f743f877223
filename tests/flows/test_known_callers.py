"""Callers whom the service knows may use the reserved quarter of the hashing queue.

A flood of strangers' sign-ins then leaves the others' requests a place.
"""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from authserve.passwords.queue import HashingQueue
from tests.support.clients import PASSWORD, Caller, login, register
from tests.support.mail import open_mailbox, work

NEW = "another correct horse 9"
ME = "/api/v1/users/me"


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each job of the queue, True if its caller was known."""
    told: list[bool] = []
    run = HashingQueue.run

    def note(self: HashingQueue, work: Callable[[], Any], **caller: Any) -> Any:
        told.append(caller["is_known_caller"])
        return run(self, work, **caller)

    monkeypatch.setattr(HashingQueue, "run", note)
    return told


def test_strangers_are_not_known(app: Flask, alice: Caller, known: list[bool]) -> None:
    stranger = app.test_client()
    assert register(stranger, "eve").status_code == 201
    assert login(stranger, "nobody@example.com").status_code == 401
    assert login(stranger, "alice", "wrong password 7").status_code == 401
    assert known
    assert not any(known)


def test_a_device_that_was_used_is_known(app: Flask, alice: Caller, known: list[bool]) -> None:
    body = {"identifier": "alice", "password": PASSWORD}
    device = {"device_token": alice.tokens["device_token"]}
    assert app.test_client().post("/api/v1/auth/login", json=body | device).status_code == 200
    assert known == [True]


def test_a_signed_in_user_is_known(alice: Caller, known: list[bool]) -> None:
    confirming = {"password": PASSWORD}
    assert alice.post("/api/v1/auth/reauthenticate", json=confirming).status_code == 200
    change = {"current_password": PASSWORD, "new_password": NEW}
    assert alice.put(f"{ME}/password", json=change).status_code == 204
    assert len(known) >= 3
    assert all(known)


def test_the_reader_of_a_mail_is_known(app: Flask, alice: Caller, known: list[bool]) -> None:
    mailbox = open_mailbox(app)
    client = app.test_client()
    assert (
        client.post("/api/v1/auth/password/forgot", json={"email": "alice@example.com"}).status_code
        == 202
    )
    work(app)
    token = mailbox.to("alice@example.com")[-1].token
    reset = {"token": token, "new_password": NEW}
    assert client.post("/api/v1/auth/password/reset", json=reset).status_code == 200
    assert known
    assert all(known)
