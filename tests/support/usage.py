"""Users of a server while a test breaks it, and each of their answers with its time."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import requests

from tests.support.clients import PASSWORD
from tests.support.crowd import DEADLINE_SECS, persistently
from tests.support.server import Client, Server
from tests.support.traffic import next_address


@dataclass(frozen=True)
class Answer:
    """The answer to a call.

    Args:
        began: monotonic seconds at which it was sent.
        ended: when the response had arrived.
        response: None when there was none.
    """

    call: str
    began: float
    ended: float
    response: requests.Response | None

    @property
    def status(self) -> int | None:
        """Its status, or None without a response."""
        return None if self.response is None else self.response.status_code


def assert_unavailable(response: requests.Response) -> None:
    """Check that it is a complete 503 with `Retry-After`."""
    assert response.status_code == 503, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["status"] == 503
    assert int(response.headers["Retry-After"]) >= 1


@dataclass
class Person:
    """A user with a session on a server, and a client for each call."""

    client: Client
    name: str = field(default_factory=lambda: f"p{uuid4().hex[:12]}")
    tokens: dict[str, Any] = field(default_factory=dict)

    def register(self, name: str | None = None) -> requests.Response:
        """Make the account, or another one."""
        name = name or self.name
        body = {"email": f"{name}@example.com", "username": name, "password": PASSWORD}
        return self._post("register", body)

    def login(self) -> requests.Response:
        """Begin a session; its tokens are kept if there are any."""
        body = {"identifier": self.name, "password": PASSWORD}
        return self._keep(self._post("login", body))

    def me(self) -> requests.Response:
        """Read the own account."""
        headers = {"Authorization": f"Bearer {self.tokens['access_token']}"}
        return self.client.get("/api/v1/users/me", headers=headers)

    def refresh(self) -> requests.Response:
        """Refresh the session; without an answer the old token is kept."""
        body = {"refresh_token": self.tokens["refresh_token"]}
        return self._keep(self._post("refresh", body))

    def _post(self, call: str, body: dict[str, str]) -> requests.Response:
        headers = {"X-Forwarded-For": next_address()}
        return self.client.post(f"/api/v1/auth/{call}", json=body, headers=headers)

    def _keep(self, response: requests.Response) -> requests.Response:
        if response.status_code == 200:
            self.tokens = response.json()
        return response


def newcomer(server: Server) -> Person:
    """Return a user who has just registered and signed in."""
    person = Person(server.client(until_served=False))
    assert persistently(person.register).status_code == 201
    assert persistently(person.login).status_code == 200
    return person


class Traffic:
    """Callers that repeat their calls, one after the other."""

    def __init__(self, *rounds: dict[str, Callable[[], requests.Response]]) -> None:
        self.answers: list[Answer] = []
        self._rounds = rounds
        self._stop = Event()

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Run the callers in the block, and wait for every answer after it."""
        threads = [Thread(target=self._call, args=[calls]) for calls in self._rounds]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _call(self, calls: dict[str, Callable[[], requests.Response]]) -> None:
        while not self._stop.is_set():
            for name, call in calls.items():
                began = time.monotonic()
                try:
                    response = call()
                except requests.RequestException:
                    response = None
                self.answers.append(Answer(name, began, time.monotonic(), response))

    def since(self, began: float) -> list[Answer]:
        """Return the answers to calls sent since then."""
        return [answer for answer in self.answers if answer.began >= began]

    def wait_for(self, count: int, calls: set[str], *, since: float) -> None:
        """Wait until each of the calls has been answered this often."""
        give_up = time.monotonic() + DEADLINE_SECS
        while any(self._count(call, since) < count for call in calls):
            assert time.monotonic() < give_up, "the answers do not come"
            time.sleep(0.05)

    def _count(self, call: str, since: float) -> int:
        return sum(answer.call == call for answer in self.since(since))


def usual_calls(person: Person) -> dict[str, Callable[[], requests.Response]]:
    """Return the usual calls of a user: all of them need the database."""
    return {
        "me": person.me,
        "refresh": person.refresh,
        "login": person.login,
        "register": lambda: person.register(f"p{uuid4().hex[:12]}"),
    }
