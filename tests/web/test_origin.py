"""Forms are taken from our own pages alone."""

import logging
from collections.abc import Callable

import pytest
from flask import Flask

from authserve.ratelimit.policy import PAGE_POSTS
from authserve.web.origin import FormOrigin
from tests.support.browsing import ORIGIN, Visit
from tests.support.clients import PASSWORD, Caller

OWN = [
    {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"},
    {"Origin": ORIGIN},
    {"Sec-Fetch-Site": "same-origin"},
    {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
]

FOREIGN = [
    {},
    {"Origin": "null"},
    {"Origin": "https://evil.example"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"},
    {"Origin": ORIGIN, "Sec-Fetch-Site": "same-site"},
    {"Origin": ORIGIN, "Sec-Fetch-Site": "none"},
    {"Origin": ORIGIN, "Sec-Fetch-Site": "Same-Origin"},
    {"Origin": ORIGIN, "Sec-Fetch-Site": ""},
    {"Origin": f"{ORIGIN}/"},
    {"Origin": f"{ORIGIN}.evil.example"},
    {"Origin": "http://localhost"},
    {"Origin": "http://localhost:8001"},
    {"Origin": "https://localhost:8000"},
    {"Origin": "http://127.0.0.1:8000"},
    {"Origin": f"{ORIGIN} https://evil.example"},
    {"Origin": "", "Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "cross-site"},
]

FIELDS = {"identifier": "alice", "password": PASSWORD}


def test_a_form_of_our_own_page_is_taken(visit: Visit, alice: Caller) -> None:
    for headers in OWN:
        assert visit.send("/sign-in", FIELDS, headers=headers).location == "/account", headers


def test_a_foreign_form_is_refused_and_changes_nothing(visit: Visit, alice: Caller) -> None:
    for headers in FOREIGN:
        shown = visit.send("/sign-in", FIELDS, headers=headers)
        assert shown.status == 403, headers
        assert "did not come from localhost:8000" in shown.text
        assert f"PUBLIC_URL: {ORIGIN}" in shown.text
        assert visit.cookie() is None


def test_production_tells_a_stranger_nothing(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("pages",), app_env="production", public_url="https://auth.example.com")
    shown = Visit(app, "https://auth.example.com").send("/sign-in", FIELDS, headers={})
    assert shown.status == 403
    assert "PUBLIC_URL" not in shown.html


def test_the_log_has_both_values(visit: Visit, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "authserve.web.origin"):
        headers = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
        visit.send("/sign-in", FIELDS, headers=headers)
    (record,) = caplog.records
    found = vars(record)
    assert (record.message, found["site"]) == ("form of a foreign page", "cross-site")
    assert (found["origin"], found["expected"]) == ("https://evil.example", ORIGIN)


def test_forms_of_one_address_are_limited(make_app: Callable[..., Flask]) -> None:
    visit = Visit(make_app(features=("pages",), ratelimit_enabled=True))
    for _ in range(PAGE_POSTS.amount):
        assert visit.send("/language", {"lang": "x"}).status == 422
    refused = visit.send("/language", {"lang": "x"})
    assert (refused.status, int(refused.headers["Retry-After"]) > 0) == (429, True)


def test_the_host_of_the_request_decides_nothing(app: Flask, alice: Caller) -> None:
    visit = Visit(app, "http://evil.example")
    headers = {"Origin": "http://evil.example", "Host": "evil.example"}
    assert visit.send("/sign-in", FIELDS, headers=headers).status == 403


def test_a_body_is_not_read_before_the_origin(visit: Visit) -> None:
    headers = {"Origin": "https://evil.example", "Content-Type": "text/plain"}
    assert visit.send("/sign-in", {"x": "y" * 70_000}, headers=headers).status == 403


@pytest.mark.parametrize("path", ["/verify-email", "/reset-password", "/first-administrator"])
def test_a_link_page_takes_a_form_of_an_unknown_page(visit: Visit, path: str) -> None:
    assert visit.send(path, {}, headers={"Origin": "null"}).status == 422
    assert visit.send(path, {}, headers={"Origin": "https://evil.example"}).status == 403
    assert visit.send(path, {}, headers={"Sec-Fetch-Site": "cross-site"}).status == 403


def test_such_a_form_has_no_session(visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    headers = {"Origin": "null"}
    shown = visit.send("/verify-email", {"link_token": "x" * 64}, headers=headers)
    assert "password" in shown.form()
    assert "password" not in visit.send("/verify-email", {"link_token": "x" * 64}).form()


def test_a_header_that_is_absent_counts_as_unknown() -> None:
    assert FormOrigin(None, None).is_unknown
    assert not FormOrigin(None, None).is_own(ORIGIN)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "[::1]:8000"])
def test_another_loopback_name_is_redirected(visit: Visit, host: str) -> None:
    visit.base_url = f"http://{host}"
    shown = visit.open("/sign-in?return_to=x&y=%C3%A4")
    assert (shown.status, shown.location) == (302, f"{ORIGIN}/sign-in?return_to=x&y=%C3%A4")
    assert shown.headers["Cache-Control"] == "no-store"
    assert visit.open("/api/v1/users/me").status == 401


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8001", "evil.example:8000"])
def test_other_hosts_are_not(visit: Visit, host: str) -> None:
    visit.base_url = f"http://{host}"
    assert visit.open("/sign-in").status == 200
