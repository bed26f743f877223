"""The way from an application's host to authorize and back, and the sign-out there."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from flask import Flask

from authserve.core.clock import now
from authserve.oidc.authorize_request import MAX_QUERY_BYTES
from authserve.oidc.redeem import REPLAY_GRACE
from authserve.ratelimit.policy import PAGE_POSTS
from authserve.web.browser_session import read_cookie
from tests.forwardauth.conftest import APP, FLOW, ORIGIN, Browser, Register
from tests.pages.test_markup import check
from tests.support.browsing import Shown
from tests.support.clients import Caller
from tests.support.rows import audit_trail, change_session, count_sessions, session_row

HTML = {"Accept": "text/html"}


def test_a_person_arrives_at_the_page_that_they_asked_for(
    register: Register, browser: Browser, alice: Caller
) -> None:
    register()
    asked = browser.ask("/some/page?a=b")
    (flow,) = asked.headers.getlist("Set-Cookie")
    for attribute in ("Secure", "HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=3600"):
        assert f"; {attribute}" in flow
    answer = browser.through_proxy(browser.authorize(asked.headers["Location"]))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/some/page?a=b")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    (cookie,) = answer.headers.getlist("Set-Cookie")
    assert cookie.startswith(f"{APP}=")
    for attribute in ("Secure", "HttpOnly", "Path=/", "SameSite=Lax"):
        assert f"; {attribute}" in cookie
    assert "Max-Age" not in cookie
    assert browser.ask().headers["Remote-Id"] == str(alice.id)
    (event,) = audit_trail(browser.app, "oauth.authorized")
    assert (event["details"]["kind"], event["details"]["client_id"]) == ("proxy", "files")


def test_two_tabs_arrive_both(register: Register, browser: Browser) -> None:
    register()
    first, second = (browser.ask(path).headers["Location"] for path in ("/one", "/two"))
    answers = [browser.through_proxy(browser.authorize(each)) for each in (second, first)]
    assert [answer.headers["Location"] for answer in answers] == ["/two", "/one"]
    assert count_sessions(browser.app, kind="proxy") == 1


def test_a_callback_that_is_loaded_again_ends_nothing(register: Register, browser: Browser) -> None:
    register()
    callback = browser.authorize(browser.ask("/page").headers["Location"])
    browser.through_proxy(callback)
    with time_machine.travel(now() + REPLAY_GRACE + timedelta(seconds=1)):
        answer = browser.through_proxy(callback)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/page")
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert browser.ask().status_code == 200


class TestFailure:
    def test_without_the_cookie_the_way_begins_once_more(
        self, register: Register, browser: Browser
    ) -> None:
        register()
        callback = browser.authorize(browser.ask("/page").headers["Location"])
        del browser.cookies[FLOW]
        again = browser.through_proxy(callback)
        assert again.status_code == 303
        answer = browser.through_proxy(browser.authorize(again.headers["Location"]))
        assert answer.headers["Location"] == "/page"

    def test_a_browser_without_cookies_gets_a_page_and_no_loop(
        self, register: Register, browser: Browser
    ) -> None:
        register()
        location = browser.ask("/page").headers["Location"]
        for _ in range(2):
            browser.cookies.clear()
            answer = browser.through_proxy(browser.authorize(location), HTML)
            location = answer.headers.get("Location", "")
        assert answer.status_code == 400
        assert "did not send back the cookie" in answer.text
        assert 'href="/.authserve/pages/authserve.' in answer.text
        assert count_sessions(browser.app, kind="proxy") == 0

    @pytest.mark.parametrize(("later_secs", "status"), [(10, 400), (11, 303)])
    def test_a_later_failure_begins_anew(
        self, register: Register, browser: Browser, later_secs: int, status: int
    ) -> None:
        register()
        moment = now().replace(microsecond=0)
        with time_machine.travel(moment, tick=False):
            location = browser.ask("/page").headers["Location"]
            browser.cookies.clear()
            location = browser.through_proxy(browser.authorize(location)).headers["Location"]
            browser.cookies.clear()
        with time_machine.travel(moment + timedelta(seconds=later_secs), tick=False):
            callback = browser.authorize(location)
            assert browser.through_proxy(callback).status_code == status

    def test_a_strangers_code_opens_nothing(self, register: Register, browser: Browser) -> None:
        register()
        callback = browser.authorize(browser.ask().headers["Location"])
        victim = Browser(browser.app, "")
        victim.ask()
        answer = victim.through_proxy(callback)
        assert answer.headers["Location"].startswith("http://localhost:8000/oauth/authorize?")
        assert APP not in victim.cookies

    def test_a_code_of_another_sign_in_of_the_same_browser_is_refused(
        self, register: Register, browser: Browser
    ) -> None:
        register()
        callbacks = [browser.authorize(browser.ask().headers["Location"]) for _ in range(2)]
        codes = [parse_qs(urlsplit(each).query)["code"][0] for each in callbacks]
        mixed = callbacks[0].replace(codes[0], codes[1])
        assert "/oauth/authorize?" in browser.through_proxy(mixed).headers["Location"]
        assert APP not in browser.cookies

    @pytest.mark.parametrize("query", ["", "?code=x", "?code=x&state=y", "?error=access_denied"])
    def test_a_foreign_state_gets_a_page(
        self, register: Register, browser: Browser, query: str
    ) -> None:
        register()
        answer = browser.through_proxy(f"/.authserve/callback{query}", HTML)
        assert (answer.status_code, answer.mimetype) == (400, "text/html")
        assert "began somewhere else" in answer.text

    def test_an_old_state_gets_a_page(self, register: Register, browser: Browser) -> None:
        register()
        callback = browser.authorize(browser.ask().headers["Location"])
        with time_machine.travel(now() + timedelta(hours=2)):
            assert browser.through_proxy(callback).status_code == 400

    def test_a_refusal_of_authorize_gets_a_page(self, register: Register, browser: Browser) -> None:
        register()
        state = parse_qs(urlsplit(browser.ask().headers["Location"]).query)["state"][0]
        path = f"/.authserve/callback?error=access_denied&state={state}"
        answer = browser.through_proxy(path)
        assert answer.status_code == 400
        assert "<code>access_denied</code>" in answer.text
        answer = browser.through_proxy(path.replace("access_denied", "x" * 101))
        assert f"<code>{'x' * 100}</code>" in answer.text

    def test_at_another_application_state_and_code_are_nothing(
        self, register: Register, browser: Browser
    ) -> None:
        register()
        register("other", origins=("https://other.example.com",))
        callback = browser.authorize(browser.ask().headers["Location"])
        browser.origin = "https://other.example.com"
        answer = browser.through_proxy(callback)
        assert "client_id=other" in answer.headers["Location"]
        assert APP not in browser.cookies


def test_who_may_not_use_an_application_is_told_by_the_service(
    register: Register, browser: Browser
) -> None:
    register(allowed_roles=("staff",))
    path = browser.ask().headers["Location"].removeprefix("http://localhost:8000")
    headers = {"Cookie": f"authserve={browser.own_cookie}"}
    answer = browser.app.test_client(use_cookies=False).get(path, headers=headers)
    assert answer.status_code == 403
    assert "Files is not open to you" in answer.text


@pytest.mark.parametrize("length", [1, 490])
def test_the_request_fits_with_the_longest_host_and_path(
    register: Register, browser: Browser, length: int
) -> None:
    host = ".".join(["a" * 61] * 4)
    browser.origin = f"https://{host}:65535"
    register("f" * 48, origins=(browser.origin,))
    query = urlsplit(browser.ask(f"/?{'%22' * (length // 3)}").headers["Location"]).query
    assert len(query) <= MAX_QUERY_BYTES


def test_in_development_an_application_may_use_http(register: Register, browser: Browser) -> None:
    browser.origin = "http://files.localhost:8080"
    register(origins=(browser.origin,))
    assert browser.sign_in("/a").headers["Location"] == "/a"
    assert set(browser.cookies) == {"authserve-app", "authserve-app-flow"}
    assert browser.ask().status_code == 200


class TestSignOut:
    PATH = "/.authserve/sign-out"

    def post(self, browser: Browser, **headers: str) -> Any:
        return browser.through_proxy(self.PATH, headers, method="POST")

    def test_it_ends_the_browsers_session(self, files: Browser, alice: Caller) -> None:
        page = files.through_proxy(self.PATH)
        assert page.status_code == 200
        assert alice.user["email"] in page.text
        assert files.ask().status_code == 200
        answer = self.post(files, Origin=ORIGIN)
        assert (answer.status_code, answer.headers["Location"]) == (303, self.PATH)
        assert APP not in files.cookies
        row = session_row(files.app, alice.session_id)
        assert row is not None
        assert row["revoke_reason"] == "logout"
        assert "You are signed out" in files.through_proxy(self.PATH).text

    def test_a_cookie_whose_session_has_ended_ends_no_other(
        self, files: Browser, alice: Caller
    ) -> None:
        """As a cookie that a thief has, after its owner has ended that session alone."""
        proxied = read_cookie(files.cookies[APP])
        assert proxied is not None
        change_session(files.app, proxied.session_id, revoked_at=now())
        assert self.post(files, Origin=ORIGIN).status_code == 303
        row = session_row(files.app, alice.session_id)
        assert row is not None
        assert row["revoked_at"] is None

    def test_a_former_cookie_is_worth_nothing(self, files: Browser) -> None:
        kept = files.cookies[APP]
        self.post(files, Origin=ORIGIN)
        files.cookies[APP] = kept
        assert files.ask().status_code == 302
        assert self.post(files, Origin=ORIGIN).status_code == 303

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Origin": "null"},
            {"Origin": "https://evil.example"},
            {"Origin": "http://localhost:8000"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"},
        ],
    )
    def test_a_foreign_form_changes_nothing(self, files: Browser, headers: dict[str, str]) -> None:
        assert self.post(files, **headers).status_code == 403
        assert files.ask().status_code == 200


def test_forms_are_limited(make_app: Callable[..., Flask], alice: Caller) -> None:
    app = make_app(features=("pages", "oidc", "forward-auth"), ratelimit_enabled=True)
    browser = Browser(app, "")
    for _ in range(PAGE_POSTS.amount):
        # No application is registered there.
        assert TestSignOut().post(browser, Origin=ORIGIN).status_code == 403
    assert TestSignOut().post(browser, Origin=ORIGIN).status_code == 429


def test_the_pages_are_like_all_pages(files: Browser) -> None:
    """Only a return from the sign-in has a URL that must stay secret."""
    asked = files.through_proxy(TestSignOut.PATH, HTML)
    returned = files.through_proxy("/.authserve/callback?code=x", HTML)
    refused = files.through_proxy(TestSignOut.PATH, HTML, method="POST")
    files.cookies.clear()
    signed_out = files.through_proxy(TestSignOut.PATH, HTML)
    for name, page in (("asked", asked), ("signed out", signed_out), ("refused", refused)):
        check(name, Shown(page), is_link=False)
    check("returned", Shown(returned), is_link=True)


def test_the_files_of_pages_are_at_the_applications_host(files: Browser) -> None:
    page = files.through_proxy("/.authserve/sign-out").text
    sheet = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
    assert sheet.startswith("/.authserve/pages/authserve.")
    assert files.through_proxy(sheet).mimetype == "text/css"
