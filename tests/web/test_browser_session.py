"""Cookies: their form, their attributes, and what removes them."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from flask import Flask

from authserve.web.browser_session import device_tokens, read_cookie, write_cookie
from tests.conftest import Log
from tests.support.browsing import OWN_FORM, Visit
from tests.support.clients import PASSWORD, Caller, register
from tests.support.rows import count_sessions

HTTPS = "https://auth.example.com"


def cookies_of(visit: Visit, **fields: str) -> dict[str, str]:
    """Sign Alice in, and return the cookies that are set, each as a header."""
    own = {**OWN_FORM, "Origin": visit.base_url}
    sent = {"identifier": "alice", "password": PASSWORD, **fields}
    shown = visit.send("/sign-in", sent, headers=own)
    assert shown.status == 303, shown.html
    headers = shown.headers.getlist("Set-Cookie")
    return {header.partition("=")[0]: header for header in headers}


@pytest.fixture
def secure(make_app: Callable[..., Flask]) -> Visit:
    app = make_app(features=("pages",), public_url=HTTPS)
    assert register(app.test_client(), "alice").status_code == 201
    return Visit(app, HTTPS)


def test_on_https_cookies_belong_to_this_host_alone(secure: Visit) -> None:
    found = cookies_of(secure)
    assert sorted(found) == ["__Host-Http-authserve-device", "__Host-authserve"]
    for header in found.values():
        parts = header.split("; ")[1:]
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(parts)
        assert "Domain" not in header
    assert "Max-Age" not in found["__Host-authserve"]
    assert "; Max-Age=15552000;" in found["__Host-Http-authserve-device"]


def test_a_remembered_one_stays_as_long_as_its_session(secure: Visit) -> None:
    assert "; Max-Age=1209600;" in cookies_of(secure, remember="1")["__Host-authserve"]


def test_on_http_they_have_no_prefix(visit: Visit, alice: Caller) -> None:
    found = cookies_of(visit)
    assert sorted(found) == ["authserve", "authserve-device"]
    assert not any("Secure" in header for header in found.values())


def test_the_log_names_the_user_of_a_page(visit: Visit, alice: Caller, log: Log) -> None:
    visit.sign_in()
    log()
    visit.open("/account")
    assert [line["user_id"] for line in log()] == [str(alice.id)]


def test_the_value_reads_back(visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    value = visit.cookie()
    assert value is not None
    cookie = read_cookie(value)
    assert cookie is not None
    assert write_cookie(cookie) == value
    assert len(value) == 22 + 1 + 43


CHANGES: list[Callable[[str], str]] = [
    lambda value: "",
    lambda value: "x",
    lambda value: value[:-1],
    lambda value: f"{value}A",
    lambda value: value.replace(".", ""),
    lambda value: f"{value[:-1]}B",
    lambda value: f"{value[:21]}B{value[22:]}",
    lambda value: value.replace(".", ".."),
    lambda value: f'"{value}"' + "\\",
    lambda value: "é" * 66,
    lambda value: "a" * 4_000,
    lambda value: f"{value[:23]}{'A' * 43}",
]
"""Values that are not a cookie's of ours."""


def test_another_value_is_no_session_and_stays(app: Flask, visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    value = visit.cookie()
    assert value is not None
    for number, change in enumerate(CHANGES):
        visit.client.set_cookie("authserve", change(value))
        shown = visit.open("/account")
        assert shown.location.startswith("/sign-in?"), number
        assert "Set-Cookie" not in shown.headers, number
    assert count_sessions(app, kind="browser", revoked_at=None) == 1


def test_an_ended_session_takes_its_cookie_along(
    clock: time_machine.Traveller, visit: Visit, alice: Caller
) -> None:
    visit.sign_in()
    clock.shift(timedelta(hours=12))
    shown = visit.open("/account")
    assert "authserve=; " in shown.headers["Set-Cookie"]
    assert "Max-Age=0" in shown.headers["Set-Cookie"]
    assert visit.cookie() is None


def test_a_cookie_opens_no_call_of_the_api(visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    assert visit.open("/api/v1/users/me").status == 401


def test_a_bearer_token_opens_no_page(visit: Visit, alice: Caller) -> None:
    headers = {"Authorization": f"Bearer {alice.tokens['access_token']}"}
    assert visit.open("/account", headers=headers).status == 303


def test_no_get_sets_a_cookie(visit: Visit) -> None:
    for path in ("/", "/sign-in", "/sign-up", "/verify-email", "/account", "/nowhere"):
        assert "Set-Cookie" not in visit.open(path).headers


def test_a_device_token_of_no_use_is_replaced(visit: Visit, alice: Caller) -> None:
    visit.client.set_cookie("authserve-device", "expired~x")
    visit.sign_in()
    assert (visit.cookie("authserve-device") or "~").count("~") == 0


def test_no_more_devices_are_read_than_a_browser_keeps(app: Flask) -> None:
    with app.test_request_context(headers={"Cookie": "authserve-device=a~b~~c~d"}):
        assert device_tokens() == ["a", "b"]
    with app.test_request_context(headers={"Cookie": "authserve-device=a~b~c~d"}):
        assert device_tokens() == ["a", "b", "c"]


def test_a_browser_keeps_three_devices(app: Flask, visit: Visit) -> None:
    for name in ("ada", "bea", "cyd", "dot"):
        assert register(app.test_client(), name).status_code == 201
        visit.sign_in_from(visit.open("/sign-in?switch=1"), name)
    first = visit.cookie("authserve-device")
    assert first is not None
    assert first.count("~") == 2
    visit.sign_in_from(visit.open("/sign-in?switch=1"), "dot")
    again = visit.cookie("authserve-device")
    assert again is not None
    assert (again.count("~"), again.split("~")[1:]) == (2, first.split("~")[1:])


def test_a_known_device_is_throttled_by_itself(app: Flask, visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    stranger = Visit(app)
    for _ in range(5):
        stranger.sign_in(password="wrong password 12")
    assert stranger.sign_in().status == 429
    shown = visit.sign_in_from(visit.open("/sign-in?switch=1"))
    assert shown.title.startswith("Your account")
