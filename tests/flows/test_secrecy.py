"""No log holds a secret, at any level and after any error (ASVS 16.2.5)."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from authserve.database.transactions import read_all
from authserve.users.models import User
from tests.support.clients import PASSWORD, Caller, register
from tests.support.probes import PROBE, add_probe
from tests.support.secrecy import MIN_LENGTH, SECRETS, Eavesdropper
from tests.support.server import Client, Server

NEW_PASSWORD = "another correct horse battery"

LINK = "x" * 22 + "y" * 43


@pytest.mark.parametrize("secret", [PASSWORD, "aaaa.bbbb.cccccccccccccccccccc", LINK])
def test_a_logged_secret_is_found(overheard: Eavesdropper, secret: str) -> None:
    SECRETS.note_body({"password": secret})
    logging.getLogger("authserve.probe").warning("event", extra={"deep": {"in": [secret]}})
    assert secret in SECRETS.found_in("\n".join(overheard.lines), of_test=True)
    overheard.lines.clear()


def test_part_of_a_token_is_found(overheard: Eavesdropper) -> None:
    SECRETS.note("aaaa.bbbb.cccccccccccccccccccc")
    SECRETS.note(LINK)
    logging.getLogger("authserve.probe").warning("cccccccccccccccccccc %s", "y" * 43)
    assert len(SECRETS.found_in("\n".join(overheard.lines), of_test=True)) == 2
    overheard.lines.clear()


def test_what_a_test_sends_and_gets_is_noted(alice: Caller) -> None:
    assert len(PASSWORD) >= MIN_LENGTH
    kinds = ("access_token", "refresh_token", "device_token")
    assert {PASSWORD, *(alice.tokens[kind] for kind in kinds)} <= SECRETS.of_test


def journey(call: Callable[..., Any]) -> None:
    """Sign up, sign in well and badly, change what can be changed, and send tokens to all places.

    Args:
        call: sends a method to a path with a body and a token; returns the answer's JSON.
    """
    names = {"email": "zoe@example.com", "username": "zoe"}
    call("POST", "/auth/register", {**names, "password": PASSWORD})
    call("POST", "/auth/login", {"identifier": "zoe", "password": "not that one, surely"})
    tokens = call("POST", "/auth/login", {"identifier": "zoe", "password": PASSWORD})
    access, refresh = tokens["access_token"], tokens["refresh_token"]
    call("POST", "/auth/login", {"identifier": access, "password": PASSWORD})
    call("POST", "/auth/refresh", {"refresh_token": refresh})
    call("POST", "/auth/refresh", {"refresh_token": access})
    call("POST", "/auth/reauthenticate", {"password": PASSWORD}, access)
    call("POST", "/auth/introspect", {"token": refresh}, access)
    call("POST", "/auth/password/reset", {"token": LINK, "new_password": NEW_PASSWORD})
    call("GET", f"/users/me?token={access}", None, refresh)
    call("GET", f"/users/{access}", None, access)
    call("PATCH", "/users/me", {"password": PASSWORD, PASSWORD: 1, "username": [access]}, access)
    change = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    call("PUT", "/users/me/password", change, access)
    call("POST", "/auth/password/forgot", {"email": "zoe@example.com"})
    call("POST", "/auth/logout", None, access)


@pytest.mark.gunicorn
def test_a_server_logs_no_secret_at_the_level_of_debug(
    app: Flask, make_server: Callable[..., Server]
) -> None:
    """Its libraries are as talkative as they can be."""
    server = make_server(LOG_LEVEL="DEBUG")
    client: Client = server.client()

    def call(method: str, path: str, body: Any, token: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        response = client.request(method, f"/api/v1{path}", json=body, headers=headers)
        assert response.status_code < 500, response.text
        return response.json() if response.content else None

    journey(call)
    client.get(f"/{PASSWORD}", headers={"Cookie": LINK, "X-Correlation-ID": LINK + "!"})
    assert '"DEBUG"' in server.output()
    with app.app_context():
        SECRETS.note(read_all(select(User.password_hash))[0][0])
    # It searches its own output.
    assert server.stop() == 0


def test_a_422_never_repeats_a_value(alice: Caller) -> None:
    for body in ({"username": [PASSWORD]}, {"display_name": {"a": PASSWORD}}, {"x": PASSWORD}):
        response = alice.patch("/api/v1/users/me", json=body)
        assert response.status_code == 422
        assert PASSWORD not in response.get_data(as_text=True)
    response = register(alice.client, "bob", email=PASSWORD, password="Bob12", username=PASSWORD)
    assert response.status_code == 422
    assert PASSWORD not in response.get_data(as_text=True)


def test_a_traceback_has_no_values_of_variables(app: Flask, overheard: Eavesdropper) -> None:
    """Lines of code, with the names of what they handle."""

    def fail(password: str = PASSWORD) -> None:
        held = {"password": password}
        raise RuntimeError(f"with {len(held)}")

    SECRETS.note(PASSWORD)
    add_probe(app, fail)
    response = app.test_client().post(PROBE, json={})
    assert response.status_code == 500
    response = app.test_client().get(PROBE)
    assert response.status_code == 500
    assert any("Traceback" in line for line in overheard.lines)
