"""A device that the owner has used: known at the next sign-in, despite strangers' guesses."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from werkzeug.test import TestResponse

from authserve.verification.policy import Purpose
from tests.support.clients import PASSWORD, Caller
from tests.support.problems import assert_problem
from tests.support.tokens import claims_of, header_of
from tests.verification.conftest import NEW_PASSWORD, Desk

STRANGER = "198.51.100.7"
OWNER = "192.0.2.1"


def sign_in(
    app: Flask,
    password: str,
    device_token: str | None = None,
    *,
    identifier: str = "alice@example.com",
    ip: str = OWNER,
) -> TestResponse:
    body = {"identifier": identifier, "password": password}
    if device_token is not None:
        body["device_token"] = device_token
    environ = {"REMOTE_ADDR": ip}
    return app.test_client().post("/api/v1/auth/login", json=body, environ_base=environ)


def did_of(response: TestResponse) -> str:
    assert response.status_code == 200, response.get_data(as_text=True)
    did: str = claims_of(response.get_json()["device_token"])["did"]
    return did


@pytest.fixture(params=["login", "reset", "invitation"])
def device(request: pytest.FixtureRequest, desk: Desk) -> tuple[str, str, str]:
    """A device token from any source, with its account's address and password."""
    if request.param == "login":
        return desk.alice.tokens["device_token"], "alice@example.com", PASSWORD
    if request.param == "reset":
        purpose, email = Purpose.RESET_PASSWORD, "alice@example.com"
    else:
        purpose, email = Purpose.INVITATION, "dora@example.com"
    answer = desk.follow(purpose, desk.ask(purpose))
    return answer.get_json()["device_token"], email, NEW_PASSWORD


def test_a_sign_in_with_it_keeps_the_device(app: Flask, device: tuple[str, str, str]) -> None:
    token, email, password = device
    assert header_of(token)["typ"] == "device+jwt"
    did = claims_of(token)["did"]
    assert len(bytes.fromhex(did)) == 16
    first = sign_in(app, password, token, identifier=email)
    assert did_of(first) == did
    again = sign_in(app, password, first.get_json()["device_token"], identifier=email)
    assert did_of(again) == did
    assert did_of(sign_in(app, password, identifier=email)) != did


def test_a_stranger_who_guesses_does_not_lock_the_owner_out(
    app: Flask, device: tuple[str, str, str]
) -> None:
    token, email, password = device
    for _ in range(5):
        sign_in(app, "wrong", identifier=email, ip=STRANGER)
    assert sign_in(app, password, identifier=email).status_code == 429
    assert sign_in(app, password, token, identifier=email).status_code == 200
    # The owner's device gives the stranger no access.
    assert sign_in(app, password, identifier=email, ip=STRANGER).status_code == 429


def test_its_failures_count_on_it_alone(app: Flask, alice: Caller) -> None:
    token = alice.tokens["device_token"]
    for _ in range(5):
        assert_problem(sign_in(app, "wrong", token), 401, "invalid_credentials")
    assert_problem(sign_in(app, PASSWORD, token), 429, "too_many_attempts")
    assert sign_in(app, PASSWORD).status_code == 200


@pytest.mark.parametrize(
    "spoil",
    [
        lambda desk, token: "x",
        lambda desk, token: "",
        lambda desk, token: token[:-2],
        lambda desk, token: token + "=",
        lambda desk, token: desk.alice.tokens["access_token"],
        lambda desk, token: desk.alice.tokens["refresh_token"],
    ],
)
def test_one_that_is_not_good_counts_as_absent(
    app: Flask, desk: Desk, spoil: Callable[[Desk, str], str]
) -> None:
    token = desk.alice.tokens["device_token"]
    bad = spoil(desk, token)
    answer = sign_in(app, PASSWORD, bad)
    assert did_of(answer) != claims_of(token)["did"]
    for _ in range(5):
        sign_in(app, "wrong", ip=STRANGER)
    assert sign_in(app, PASSWORD, bad).status_code == 429


def test_another_accounts_counts_as_absent(app: Flask, alice: Caller, bob: Caller) -> None:
    token = bob.tokens["device_token"]
    assert did_of(sign_in(app, PASSWORD, token)) != claims_of(token)["did"]
    for _ in range(5):
        sign_in(app, "wrong", token, ip=STRANGER)
    assert sign_in(app, PASSWORD).status_code == 429


@pytest.mark.parametrize(
    ("age", "is_known"), [(timedelta(days=179), True), (timedelta(days=180, minutes=1), False)]
)
def test_it_lasts_for_180_days(
    clock: time_machine.Traveller, app: Flask, alice: Caller, age: timedelta, is_known: bool
) -> None:
    token = alice.tokens["device_token"]
    clock.shift(age)
    assert (did_of(sign_in(app, PASSWORD, token)) == claims_of(token)["did"]) is is_known


def test_a_new_password_makes_it_unknown(app: Flask, desk: Desk) -> None:
    token = desk.alice.tokens["device_token"]
    desk.follow(Purpose.RESET_PASSWORD, desk.ask(Purpose.RESET_PASSWORD))
    assert did_of(sign_in(app, NEW_PASSWORD, token)) != claims_of(token)["did"]
