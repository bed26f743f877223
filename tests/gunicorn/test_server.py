"""Behaviour that needs a real server with several processes."""

import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import requests
from sqlalchemy import update

from authserve.core.clock import now
from authserve.database.transactions import transaction
from authserve.keys.models import SigningKey
from tests.gunicorn.conftest import Site
from tests.support.clients import PASSWORD
from tests.support.crowd import DEADLINE_SECS, all_at_once
from tests.support.keys import kid_of
from tests.support.marks import both_databases, on_postgresql
from tests.support.server import WORKERS, Client, Server

pytestmark = pytest.mark.gunicorn


def register(client: Client, name: str, *, email: str | None = None) -> requests.Response:
    body = {"email": email or f"{name}@example.com", "username": name, "password": PASSWORD}
    return client.post("/api/v1/auth/register", json=body)


def sign_in(client: Client, name: str) -> dict[str, Any]:
    body = {"identifier": name, "password": PASSWORD}
    response = client.post("/api/v1/auth/login", json=body)
    assert response.status_code == 200, response.text
    tokens: dict[str, Any] = response.json()
    return tokens


def login(client: Client, name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {sign_in(client, name)['access_token']}"}


def test_it_serves_a_journey_in_json_lines_and_ends_well_on_sigterm(server: Server) -> None:
    client = server.client()
    registered = register(client, "alice")
    assert registered.status_code == 201
    headers = login(client, "alice")

    me = client.get("/api/v1/users/me", headers=headers).json()
    assert me == {**registered.json(), "last_login_at": me["last_login_at"]}

    change = {"username": "liddell", "display_name": "Alice Liddell"}
    patched = client.patch("/api/v1/users/me", json=change, headers=headers)
    assert patched.status_code == 200
    assert client.get("/api/v1/users/me", headers=headers).json() == patched.json()
    assert patched.json() == {**me, **change, "updated_at": patched.json()["updated_at"]}

    client.get("/api/v1/users/me", headers={"X-Correlation-ID": "me-1"})
    client.get("/no/such/path")
    assert server.stop() == 0
    (line,) = [line for line in server.log() if line["correlation_id"] == "me-1"]
    assert (line["event"], line["route"], line["status"]) == ("request", "/api/v1/users/me", 401)
    assert PASSWORD not in server.output()


@both_databases
def test_many_registrations_of_one_address_make_one_account(site: Site) -> None:
    def registration(number: int) -> requests.Response:
        email = "alice@example.com" if number % 2 else "ALICE@Example.COM"
        return register(site.server.client(), f"alice{number}", email=email)

    answers = all_at_once([lambda n=n: registration(n) for n in range(20)])
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 19}
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"email_taken"}


@on_postgresql
def test_its_workers_share_no_connection(site: Site) -> None:
    """200 requests over 20 threads, reads and writes mixed: each gets its own answer."""
    headers = {}
    for name in ("carol", "dave"):
        client = site.server.client()
        register(client, name)
        headers[name] = login(client, name)

    def visit(number: int) -> list[tuple[int, str]]:
        client, name = site.server.client(), ("carol", "dave")[number % 2]
        answers = []
        for step in range(5):
            change = {"display_name": f"{name} {number} {step}"}
            patch = client.patch("/api/v1/users/me", json=change, headers=headers[name])
            got = client.get("/api/v1/users/me", headers=headers[name])
            for answer in (patch, got):
                answers.append((answer.status_code, answer.json().get("username") == name))
        return answers

    visits = all_at_once([lambda n=n: visit(n) for n in range(20)])
    assert Counter(answer for visit in visits for answer in visit) == {(200, True): 200}


def test_all_workers_follow_keys_that_another_process_makes_and_gives_up(
    site: Site,
) -> None:
    """A rotation refuses no token of the old key or the new; an emergency refuses all."""
    server, client = site.server, site.server.client()
    register(client, "one")
    tokens = [sign_in(client, "one")["access_token"]]
    old = kid_of(tokens[0])

    done = server.run("keys", "rotate")
    assert done.returncode == 0, done.stderr
    new = done.stdout.split()[0]
    wait_until_often(lambda: published_kids(client) == [old, new], tokens, client)

    # The new key signs some minutes early.
    with site.app.app_context(), transaction() as session:
        begins = update(SigningKey).where(SigningKey.kid == new)
        session.execute(begins.values(active_from=now() - timedelta(seconds=1)))

    # Another user signs in until then: of more than fifty sessions, the oldest would end.
    register(client, "two")

    def signs(kid: str) -> bool:
        tokens[1:] = [sign_in(client, "two")["access_token"]]
        return kid_of(tokens[1]) == kid

    wait_until_often(lambda: signs(new), tokens, client)

    done = server.run("keys", "rotate", "--emergency")
    assert done.returncode == 0, done.stderr
    ended = list(tokens)
    wait_until_often(lambda: not any(is_accepted(client, token) for token in ended), [], client)
    # For a short time, a worker without a request may still sign with the old key.
    wait_until_often(lambda: signs(done.stdout.split()[0]), [], client)
    wait_until_often(lambda: True, tokens[1:], client)


OFTEN = 5 * WORKERS
"""Answers in a row after which almost certainly every worker has answered."""


def wait_until_often(is_so: Callable[[], bool], tokens: list[str], client: Client) -> None:
    """Wait until `is_so` has been true often in a row; all `tokens` must work all the time."""
    in_a_row, give_up = 0, time.monotonic() + DEADLINE_SECS
    while in_a_row < OFTEN:
        assert time.monotonic() < give_up
        in_a_row = in_a_row + 1 if is_so() else 0
        assert all(is_accepted(client, token) for token in tokens)


def is_accepted(client: Client, token: str) -> bool:
    headers = {"Authorization": f"Bearer {token}"}
    response = client.get("/api/v1/users/me", headers=headers)
    assert response.status_code in (200, 401), response.text
    return response.status_code == 200


def published_kids(client: Client) -> list[str]:
    return [key["kid"] for key in client.get("/.well-known/jwks.json").json()["keys"]]
