"""People who use the service all the time, each in a thread of their own."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from threading import Event, Thread
from typing import Any

import requests

from tests.support.clients import PASSWORD
from tests.support.server import Client

PAUSE_SECS = 0.02
"""Seconds before each request: without them, two visitors keep two cores busy (chosen)."""

VISITORS = 2
"""People at once (chosen)."""

ADDRESSES = count(1)
"""Numbers of client addresses, so that no client reaches the limit of one address."""


def next_address() -> str:
    """Return an address unused in this test run; the server must trust it as a proxy's header."""
    number = next(ADDRESSES)
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


@dataclass
class TrafficCount:
    """The answers and failures of traffic so far.

    Args:
        answers: the number of requests with the expected answer.
        failures: each other call, with its answer or exception.
    """

    answers: int = 0
    failures: list[str] = field(default_factory=list)


class Visitor:
    """A client with a kept connection.

    Args:
        url: picks the server of the next request.
        traffic: counts each answer.
    """

    def __init__(self, url: Callable[[], str], traffic: TrafficCount) -> None:
        self._url = url
        self._traffic = traffic
        self._clients: dict[str, Client] = {}
        self._address = next_address()

    def call(
        self, status: int, method: str, path: str, *, token: str = "", **kwargs: Any
    ) -> dict[str, Any]:
        """Send a request, require `status`, and return the answer's body."""
        time.sleep(PAUSE_SECS)
        headers = {"X-Forwarded-For": self._address}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        url = self._url()
        if url not in self._clients:
            self._clients[url] = Client(url)
            self._clients[url].headers.pop("Connection")
        client = self._clients[url]
        response = client.request(method, path, headers=headers, **kwargs)
        if response.status_code != status:
            raise UnexpectedAnswerError(f"{method} {path}: {response.status_code} {response.text}")
        self._traffic.answers += 1
        return response.json() if response.content else {}

    def live_once(self, name: str) -> None:
        """Register, sign in, read, refresh, change the name and the password, sign out."""
        api = "/api/v1"
        body = {"email": f"{name}@example.com", "username": name, "password": PASSWORD}
        self.call(201, "POST", f"{api}/auth/register", json=body)
        body = {"identifier": name, "password": PASSWORD}
        tokens = self.call(200, "POST", f"{api}/auth/login", json=body)
        for step in range(3):
            token = tokens["access_token"]
            self.call(200, "GET", f"{api}/users/me", token=token)
            body = {"refresh_token": tokens["refresh_token"]}
            tokens = self.call(200, "POST", f"{api}/auth/refresh", json=body)
            self.call(200, "GET", f"{api}/users/me", token=token)
            body = {"display_name": f"{name} {step}"}
            self.call(200, "PATCH", f"{api}/users/me", token=token, json=body)
        body = {"current_password": PASSWORD, "new_password": f"{PASSWORD} {name}"}
        self.call(204, "PUT", f"{api}/users/me/password", token=tokens["access_token"], json=body)
        self.call(204, "POST", f"{api}/auth/logout", token=tokens["access_token"])

    def close(self) -> None:
        """Close the connection."""
        for client in self._clients.values():
            client.close()


class UnexpectedAnswerError(Exception):
    """An unexpected answer."""


@contextmanager
def traffic_to(url: Callable[[], str]) -> Iterator[TrafficCount]:
    """Run `VISITORS`, each with one account after the other, while the block runs.

    Args:
        url: gives the server for each request.
    """
    traffic, is_over = TrafficCount(), Event()

    def visit(number: int) -> None:
        for life in count():
            if is_over.is_set():
                return
            visitor = Visitor(url, traffic)
            try:
                visitor.live_once(f"visitor{number}.{life}")
            except (UnexpectedAnswerError, requests.RequestException) as error:
                traffic.failures.append(str(error))
            finally:
                visitor.close()

    threads = [Thread(target=visit, args=(number,)) for number in range(VISITORS)]
    for thread in threads:
        thread.start()
    try:
        yield traffic
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


TRUSTING: Mapping[str, str] = {"TRUSTED_PROXIES": "1"}
"""Settings of a server that trusts the visitors' addresses."""
