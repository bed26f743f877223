"""Workers that replace themselves all the time; no caller may notice."""

from collections import Counter
from collections.abc import Callable

import pytest

import config
from tests.support.clients import PASSWORD
from tests.support.crowd import all_at_once
from tests.support.faults import rounds
from tests.support.marks import on_postgresql
from tests.support.server import Server

pytestmark = [pytest.mark.gunicorn, pytest.mark.fault]

CALLERS = 20

REQUESTS = rounds(5, at_most=50) * 10
"""Requests of each caller: 1,000 in all, and 10,000 in `make faults`."""

MANY_RECYCLES = {
    "gunicorn.conf.py": (config.ROOT / "gunicorn.conf.py").read_text()
    + "\nmax_requests, max_requests_jitter = 100, 50\n"
}


@on_postgresql
def test_recycled_workers_share_no_connection_and_drop_no_request(
    make_server: Callable[..., Server],
) -> None:
    """Half of the callers keep their connection, half open a new one each time."""
    server = make_server(files=MANY_RECYCLES)
    tokens = {}
    for number in range(CALLERS):
        name, client = f"caller{number}", server.client()
        body = {"email": f"{name}@example.com", "username": name, "password": PASSWORD}
        assert client.post("/api/v1/auth/register", json=body).status_code == 201
        login = client.post("/api/v1/auth/login", json={"identifier": name, "password": PASSWORD})
        tokens[name] = login.json()["access_token"]

    def visit(number: int) -> Counter[tuple[int, bool]]:
        name, client = f"caller{number}", server.client()
        if number % 2:
            client.headers.pop("Connection")
        headers = {"Authorization": f"Bearer {tokens[name]}"}
        answers: Counter[tuple[int, bool]] = Counter()
        for step in range(REQUESTS):
            if step % 20:
                answer = client.get("/api/v1/users/me", headers=headers)
            else:
                body = {"display_name": f"{name} {step}"}
                answer = client.patch("/api/v1/users/me", json=body, headers=headers)
            answers[answer.status_code, answer.json().get("username") == name] += 1
        return answers

    visits = all_at_once([lambda n=n: visit(n) for n in range(CALLERS)])
    assert sum(visits, Counter()) == {(200, True): CALLERS * REQUESTS}
    assert server.output().count("Autorestarting worker") >= CALLERS * REQUESTS // 200
