"""The server did what was asked, and the answer never arrived: the client can continue."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
import requests

from tests.gunicorn.conftest import Site
from tests.support.clients import PASSWORD
from tests.support.mail import open_mailbox, work
from tests.support.proxy import Proxy, proxy_before
from tests.support.server import Client
from tests.support.worker import wait_until

pytestmark = [pytest.mark.gunicorn, pytest.mark.fault]

NUMBERS = count()

NEW_PASSWORD = "another horse, another staple"


@pytest.fixture
def registration() -> dict[str, str]:
    """An account of this test alone, as the tests share a server."""
    name = f"user{next(NUMBERS)}"
    return {"email": f"{name}@example.com", "username": name, "password": PASSWORD}


@pytest.fixture
def proxy(site: Site) -> Iterator[Proxy]:
    with proxy_before(site.server.url) as proxy:
        wait_until(lambda: proxy.backends[0].is_ready)
        yield proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[Client]:
    with Client(proxy.url) as client:
        yield client


@pytest.fixture
def lose(proxy: Proxy, client: Client) -> Callable[..., None]:
    """Send a request that succeeds and whose answer is lost."""

    def lose(path: str, **body: Any) -> None:
        served = proxy.backends[0].served
        proxy.loses_answers.set()
        with pytest.raises(requests.ConnectionError):
            client.post(path, json=body)
        proxy.loses_answers.clear()
        assert proxy.backends[0].served == served + 1

    return lose


def sign_in(client: Client, identifier: str, password: str = PASSWORD) -> dict[str, Any]:
    body = {"identifier": identifier, "password": password}
    response = client.post("/api/v1/auth/login", json=body)
    assert response.status_code == 200, response.text
    tokens: dict[str, Any] = response.json()
    return tokens


def code_of(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def test_a_repeated_registration_is_refused_as_taken_and_the_password_works(
    client: Client, registration: dict[str, str], lose: Callable[..., None]
) -> None:
    lose("/api/v1/auth/register", **registration)
    again = client.post("/api/v1/auth/register", json=registration)
    assert code_of(again) == (409, "email_taken")
    sign_in(client, registration["username"])


def test_a_refresh_can_be_asked_for_again_with_the_same_token(
    client: Client, registration: dict[str, str], lose: Callable[..., None]
) -> None:
    client.post("/api/v1/auth/register", json=registration)
    tokens = sign_in(client, registration["username"])
    body = {"refresh_token": tokens["refresh_token"]}
    for _ in range(2):
        lose("/api/v1/auth/refresh", **body)
    again = client.post("/api/v1/auth/refresh", json=body)
    assert again.status_code == 200, again.text
    assert again.json()["session_id"] == tokens["session_id"]
    newest = {"refresh_token": again.json()["refresh_token"]}
    lose("/api/v1/auth/refresh", **newest)
    for sent in (newest, body):
        assert client.post("/api/v1/auth/refresh", json=sent).status_code == 200


def test_a_sign_in_can_be_done_again(
    client: Client, registration: dict[str, str], lose: Callable[..., None]
) -> None:
    client.post("/api/v1/auth/register", json=registration)
    name = registration["username"]
    lose("/api/v1/auth/login", identifier=name, password=PASSWORD)
    sign_in(client, name)


def test_a_repeated_reset_is_refused_as_spent_and_the_new_password_works(
    site: Site, client: Client, registration: dict[str, str], lose: Callable[..., None]
) -> None:
    client.post("/api/v1/auth/register", json=registration)
    mailbox, email = open_mailbox(site.app), registration["email"]
    client.post("/api/v1/auth/password/forgot", json={"email": email})
    work(site.app)
    token = mailbox.to(email)[-1].token
    body = {"token": token, "new_password": NEW_PASSWORD}
    lose("/api/v1/auth/password/reset", **body)
    again = client.post("/api/v1/auth/password/reset", json=body)
    assert code_of(again) == (400, "invalid_or_expired_token")
    sign_in(client, registration["username"], NEW_PASSWORD)
