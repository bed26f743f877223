"""What only a real server with several processes can show."""

from collections import Counter

import pytest
import requests

from tests.support.clients import PASSWORD
from tests.support.crowd import all_at_once, persistently
from tests.support.server import Client, Server

pytestmark = pytest.mark.gunicorn


def register(client: Client, name: str, *, email: str | None = None) -> requests.Response:
    body = {"email": email or f"{name}@example.com", "username": name, "password": PASSWORD}
    return persistently(lambda: client.post("/api/v1/auth/register", json=body))


def login(client: Client, name: str) -> dict[str, str]:
    body = {"identifier": name, "password": PASSWORD}
    response = persistently(lambda: client.post("/api/v1/auth/login", json=body))
    assert response.status_code == 200, response.text
    return {"Authorization": f"Bearer {response.json()['access_token']}"}


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


def test_many_registrations_of_one_address_make_one_account(server: Server) -> None:
    def registration(number: int) -> requests.Response:
        email = "alice@example.com" if number % 2 else "ALICE@Example.COM"
        return register(server.client(), f"alice{number}", email=email)

    answers = all_at_once([lambda n=n: registration(n) for n in range(20)])
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 19}
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"email_taken"}


def test_its_workers_share_no_connection(server: Server) -> None:
    """200 requests over 20 threads, reads and writes mixed: each gets its own answer."""
    headers = {}
    for name in ("alice", "bob"):
        client = server.client()
        register(client, name)
        headers[name] = login(client, name)

    def visit(number: int) -> list[tuple[int, str]]:
        client, name = server.client(), ("alice", "bob")[number % 2]
        answers = []
        for step in range(5):
            change = {"display_name": f"{name} {number} {step}"}
            patch = persistently(
                lambda change=change: client.patch(
                    "/api/v1/users/me", json=change, headers=headers[name]
                )
            )
            got = client.get("/api/v1/users/me", headers=headers[name])
            for answer in (patch, got):
                answers.append((answer.status_code, answer.json().get("username") == name))
        return answers

    visits = all_at_once([lambda n=n: visit(n) for n in range(20)])
    assert Counter(answer for visit in visits for answer in visit) == {(200, True): 200}
