"""A breached password is refused wherever a user chooses one, and nowhere else."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from authserve.database.transactions import db
from authserve.passwords.breached import (
    BREACHED_PASSWORDS,
    BREAKER_FAILURES,
    BreachedPasswords,
    RangeService,
)
from authserve.passwords.validation import BREACHED as MESSAGE
from authserve.verification.requests import invite
from tests.support.clients import PASSWORD, login, register, register_caller
from tests.support.crowd import DEADLINE_SECS, all_at_once
from tests.support.mail import open_mailbox, work
from tests.support.marks import both_databases
from tests.support.people import make_user
from tests.support.problems import assert_problem
from tests.support.ranges import RangeServer, drop, hang, range_server
from tests.support.server import WORKERS, Server
from tests.support.worker import wait_until
from tests.transfer.test_rows import VECTORS

BREACHED = "a password of many people"

GOOD = "a password of one person"


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with range_server(BREACHED) as running:
        yield running


@pytest.fixture
def app(make_app: Callable[..., Flask], server: RangeServer) -> Flask:
    """An application that looks passwords up, and waits for the answers for long."""
    app = make_app(breached_passwords_url=server.url)
    patient = RangeService(server.url, total_timeout_secs=DEADLINE_SECS)
    BREACHED_PASSWORDS.fill(app, BreachedPasswords(patient))
    return app


def assert_refused(response: TestResponse, field: str) -> None:
    problem = assert_problem(response, 422, "validation_failed")
    assert problem["errors"] == {field: [MESSAGE]}


def mailed_token(app: Flask, send: Callable[[], Any]) -> str:
    mailbox = open_mailbox(app)
    send()
    work(app)
    return mailbox.letters[-1].token


def test_registering(app: Flask) -> None:
    client = app.test_client()
    assert_refused(register(client, "alice", password=BREACHED), "password")
    assert register(client, "alice", password=GOOD).status_code == 201


def test_changing(app: Flask) -> None:
    alice = register_caller(app, "alice")
    body = {"current_password": PASSWORD, "new_password": BREACHED}
    assert_refused(alice.put("/api/v1/users/me/password", json=body), "new_password")
    body["new_password"] = GOOD
    assert alice.put("/api/v1/users/me/password", json=body).status_code == 204


def test_resetting_does_not_spend_the_link(app: Flask) -> None:
    alice = register_caller(app, "alice")
    forgot = {"email": "alice@example.com"}
    token = mailed_token(
        app, lambda: alice.client.post("/api/v1/auth/password/forgot", json=forgot)
    )
    path = "/api/v1/auth/password/reset"
    body = {"token": token, "new_password": BREACHED}
    assert_refused(alice.client.post(path, json=body), "new_password")
    body["new_password"] = GOOD
    assert alice.client.post(path, json=body).status_code == 200


def test_accepting_an_invitation_does_not_spend_it(app: Flask) -> None:
    def send() -> None:
        with app.app_context():
            invite(make_user("dora", password=None), "dora@example.com")

    token = mailed_token(app, send)
    client, path = app.test_client(), "/api/v1/auth/invitation/accept"
    body = {"token": token, "password": BREACHED}
    assert_refused(client.post(path, json=body), "password")
    body["password"] = GOOD
    assert client.post(path, json=body).status_code == 200


def test_seeding(app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "users.json"
    file.write_text(json.dumps([{"email": "alice@example.com", "password": BREACHED}]))
    result = app.test_cli_runner().invoke(args=["users", "seed", str(file)])
    assert result.exit_code == 1
    assert MESSAGE in result.stderr


def test_creating(app: Flask) -> None:
    result = app.test_cli_runner().invoke(
        args=["users", "create", "alice@example.com", "--password-stdin"], input=BREACHED
    )
    assert result.exit_code == 1
    assert MESSAGE in result.stderr


def test_importing_hashes_and_signing_in_send_no_request(
    app: Flask, server: RangeServer, tmp_path: Path
) -> None:
    file = tmp_path / "users.ndjson"
    row = {"email": "alice@example.com", "password_hash": VECTORS["hashes"]["bcrypt"]}
    file.write_text(json.dumps(row))
    result = app.test_cli_runner().invoke(args=["users", "import", str(file)])
    assert result.exit_code == 0
    assert login(app.test_client(), "alice@example.com", VECTORS["password"]).status_code == 200
    assert server.questions == []


def test_a_password_that_was_breached_later_still_signs_in(app: Flask, server: RangeServer) -> None:
    register_caller(app, "alice")
    server.passwords.add(PASSWORD)
    BREACHED_PASSWORDS.fill(app, None)
    assert login(app.test_client(), "alice").status_code == 200


def test_a_password_with_another_fault_is_not_looked_up(app: Flask, server: RangeServer) -> None:
    assert register(app.test_client(), "alice", password="short").status_code == 422
    assert server.questions == []


@both_databases
@pytest.mark.parametrize(
    "use_case",
    [
        test_registering,
        test_changing,
        test_resetting_does_not_spend_the_link,
        test_accepting_an_invitation_does_not_spend_it,
    ],
)
def test_no_caller_holds_a_connection_meanwhile(
    app: Flask, server: RangeServer, use_case: Callable[[Flask], None]
) -> None:
    with app.app_context():
        pool = db.engine.pool
    held: list[int] = []
    server.on_question = lambda _: held.append(pool.checkedout())
    use_case(app)
    assert set(held) == {0}


def test_a_crowd_waits_for_no_longer_than_one_would(app: Flask, server: RangeServer) -> None:
    """None of them is answered before all have asked."""
    crowd = 20
    together = Barrier(crowd, timeout=DEADLINE_SECS)
    server.on_question = lambda _: together.wait()
    names = [f"user{number}" for number in range(crowd)]
    answers = all_at_once([lambda n=name: register(app.test_client(), n) for name in names])
    assert [answer.status_code for answer in answers] == [201] * crowd


def test_soon_no_caller_waits_for_a_service_that_is_away(app: Flask, server: RangeServer) -> None:
    server.fault = drop
    for number in range(BREAKER_FAILURES + 1):
        assert register(app.test_client(), f"user{number}").status_code == 201
    assert BREACHED_PASSWORDS.of(app).breaker.is_open
    assert len(server.questions) == BREAKER_FAILURES


@pytest.mark.gunicorn
def test_the_workers_of_a_real_server_look_passwords_up(
    server: RangeServer, make_server: Callable[..., Server]
) -> None:
    client = make_server(BREACHED_PASSWORDS_URL=server.url).client()

    def sign_up(name: str, password: str) -> int:
        body = {"email": f"{name}@example.com", "password": password}
        return client.post("/api/v1/auth/register", json=body).status_code

    for worker in range(WORKERS):
        # A busy machine may give a look-up up after its second.
        wait_until(lambda worker=worker: sign_up(f"known{worker}.{uuid4().hex}", BREACHED) == 422)
    assert sign_up("alice", GOOD) == 201
    server.fault = hang
    assert [sign_up(f"late{n}", f"{GOOD} {n}") for n in range(WORKERS)] == [201] * WORKERS
