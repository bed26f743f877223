"""The call by which a reverse proxy asks whether a request may pass."""

import logging
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine

from authserve.auth.browser_sessions import TOUCH_INTERVAL
from authserve.clients.registry import change_client
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.clock import now
from authserve.core.logs import LineHandler
from authserve.metrics.families import FORWARD_AUTHS
from authserve.web.browser_session import read_cookie
from tests.conftest import Log
from tests.forwardauth.conftest import APP, FLOW, ORIGIN, Browser, Register, give_roles
from tests.http.test_cost import MAX_CALLS, count_calls, statements_of_sqlite
from tests.support.clients import Caller
from tests.support.marks import both_databases
from tests.support.metrics import METRICS_TOKEN, scrape
from tests.support.rows import (
    change_role,
    change_session,
    change_user,
    live_session_row,
)

OTHER = "https://other.example.com"

IDENTITY = ("Remote-User", "Remote-Id", "Remote-Email", "Remote-Name", "Remote-Groups")


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["code"]


@both_databases
def test_a_signed_in_user_passes(files: Browser, alice: Caller) -> None:
    answer = files.ask("/some/page")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Remote-User"] == answer.headers["Remote-Id"] == str(alice.id)
    # The address is not verified, and there is no name.
    assert [answer.headers[name] for name in IDENTITY[2:]] == ["", "", "user"]


def test_the_log_names_user_and_outcome(files: Browser, alice: Caller, log: Log) -> None:
    log()
    files.ask()
    files.cookies.clear()
    files.ask()
    lines = [(line["user_id"], line["outcome"]) for line in log()]
    assert lines == [(str(alice.id), "allowed"), (None, "led_to_sign_in")]


def test_a_check_is_one_statement(files: Browser) -> None:
    with statements_of_sqlite() as sent:
        assert files.ask().status_code == 200
    assert len(sent) == 1, sent
    del files.cookies[APP]
    with statements_of_sqlite() as sent:
        assert files.ask().status_code == 302
    assert len(sent) == 1, sent


def test_a_check_costs_few_calls(files: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is to reach the floor's rate times 0.6, like the check of an access token."""
    # pytest's own handlers would be counted, too.
    root = logging.getLogger()
    own = [handler for handler in root.handlers if isinstance(handler, LineHandler)]
    monkeypatch.setattr(root, "handlers", own)
    files.ask()
    # Werkzeug's client takes its part.
    assert count_calls(files.ask) <= MAX_CALLS


def test_the_headers_of_a_user(files: Browser, alice: Caller) -> None:
    change_user(files.app, alice.id, email_verified=True, display_name="Älice 100%, A.")
    give_roles(files.app, alice, "app-staff", "app-family", "other")
    change(files, role_prefix="app-")
    headers = files.ask().headers
    assert headers["Remote-Email"] == alice.user["email"]
    assert headers["Remote-Name"] == "%C3%84lice 100%25, A."
    assert headers["Remote-Groups"] == "family,staff"


def test_a_user_is_named_by_the_username_only_on_request(files: Browser, alice: Caller) -> None:
    change_user(files.app, alice.id, username="älice")
    assert files.ask().headers["Remote-User"] == str(alice.id)
    change(files, remote_user="username")
    assert files.ask().headers["Remote-User"] == "%C3%A4lice"
    change_user(files.app, alice.id, username=None)
    assert files.ask().headers["Remote-User"] == str(alice.id)


def change(browser: Browser, **changes: Any) -> None:
    with browser.app.app_context():
        change_client("files", changes, actor=OPERATOR, request=RequestInfo())  # type: ignore[arg-type]


def test_a_stranger_is_led_to_the_sign_in(register: Register, browser: Browser) -> None:
    register()
    answer = browser.ask("/some/page?a=b")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (302, "no-store")
    target = urlsplit(answer.headers["Location"])
    assert (target.netloc, target.path) == ("localhost:8000", "/oauth/authorize")
    query = parse_qs(target.query)
    assert query["client_id"] == ["files"]
    assert query["redirect_uri"] == [f"{ORIGIN}/.authserve/callback"]
    (cookie,) = answer.headers.getlist("Set-Cookie")
    assert cookie.startswith(f"{FLOW}=")
    for attribute in ("Secure", "HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=3600"):
        assert f"; {attribute}" in cookie
    assert not {name for name in IDENTITY if name in answer.headers}


def test_nginx_gets_401_with_the_same_headers(register: Register, browser: Browser) -> None:
    register()
    answer = browser.through_proxy("/forward-auth?mode=401", {"Sec-Fetch-Mode": "navigate"})
    assert answer.status_code == 401
    assert answer.headers["Location"].startswith("http://localhost:8000/oauth/authorize?")
    assert FLOW in browser.cookies


@pytest.mark.parametrize(
    ("headers", "is_page"),
    [
        ({"Sec-Fetch-Mode": "navigate"}, True),
        ({"Sec-Fetch-Mode": "cors", "Accept": "text/html"}, False),
        ({"Accept": "text/html,*/*"}, True),
        ({"Accept": "*/*"}, False),
        ({}, False),
    ],
)
def test_only_pages_are_led_to_the_sign_in(
    register: Register, browser: Browser, headers: dict[str, str], is_page: bool
) -> None:
    register()
    answer = browser.through_proxy("/forward-auth", headers)
    assert answer.status_code == (302 if is_page else 401)
    assert answer.headers["Cache-Control"] == "no-store"
    if not is_page:
        assert code_of(answer) == (401, "sign_in_required")
        assert "Location" not in answer.headers


class TestPeer:
    def test_another_peer_is_refused_and_named(
        self, files: Browser, caplog: pytest.LogCaptureFixture
    ) -> None:
        files.peer = "203.0.113.7"
        answer = files.ask(X_Forwarded_For="127.0.0.1")
        assert code_of(answer) == (403, "foreign_peer")
        assert answer.headers["Cache-Control"] == "no-store"
        (record,) = [each for each in caplog.records if "foreign peer" in each.message]
        assert vars(record)["peer"] == "203.0.113.7"
        assert vars(record)["add_to"] == "FORWARD_AUTH_NETWORKS"
        for path in ("/.authserve/callback", "/.authserve/sign-out"):
            assert files.through_proxy(path).status_code == 403

    def test_the_direct_peer_counts_behind_trusted_proxies(
        self, make_app: Any, register: Register, browser: Browser
    ) -> None:
        register()
        browser.app = make_app(features=("pages", "oidc", "forward-auth"), trusted_proxies=1)
        assert browser.ask(X_Forwarded_For="203.0.113.7").status_code == 302
        browser.peer = "203.0.113.7"
        assert browser.ask(X_Forwarded_For="127.0.0.1").status_code == 403


def test_an_unknown_origin_is_logged(files: Browser, caplog: pytest.LogCaptureFixture) -> None:
    files.ask(X_Forwarded_Host="x" * 300)
    (record,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert record.message == "no proxied application at this origin"
    assert vars(record)["origin"] == f"https://{'x' * 292}"


def test_an_unknown_or_disabled_origin_is_refused(files: Browser, browser: Browser) -> None:
    for host in ("other.example.com", "files.example.com.evil.example", "files.example.com,x", ""):
        assert code_of(files.ask(X_Forwarded_Host=host)) == (403, "unknown_origin")
    assert files.ask(X_Forwarded_Proto="http").status_code == 403
    change(files, enabled=False)
    assert code_of(files.ask()) == (403, "unknown_origin")
    files.cookies.clear()
    assert code_of(files.ask()) == (403, "unknown_origin")


def test_a_cookie_of_one_application_opens_no_other(files: Browser, register: Register) -> None:
    register("other", origins=(OTHER,))
    files.origin = OTHER
    assert files.ask().status_code == 302


def test_a_wrong_secret_and_the_browsers_own_cookie_open_nothing(files: Browser) -> None:
    good = files.cookies[APP]
    for value in (good[:-1] + ("A" if good[-1] != "A" else "E"), files.own_cookie, "x", ""):
        files.cookies[APP] = value
        assert files.ask().status_code == 302


def test_no_method_is_a_way_past_the_check(register: Register, browser: Browser) -> None:
    """A proxy may ask by the client's own method, and lets pass what gets 2xx."""
    register()
    own = {"X-HTTP-Method-Override": "GET", "Access-Control-Request-Method": "GET"}
    for method in ("OPTIONS", "POST", "PUT", "TRACE"):
        assert browser.through_proxy("/forward-auth", own, method=method).status_code == 405
    assert browser.through_proxy("/forward-auth", own, method="HEAD").status_code == 401


def test_the_applications_cookie_opens_no_page_of_the_service(files: Browser) -> None:
    headers = {"Cookie": f"authserve={files.cookies[APP]}"}
    answer = files.app.test_client(use_cookies=False).get("/account", headers=headers)
    assert answer.status_code == 303


class TestChanges:
    def test_the_end_of_the_browsers_session_counts_at_once(
        self, files: Browser, alice: Caller
    ) -> None:
        assert alice.post("/api/v1/auth/logout-all").status_code == 204
        assert code_of(files.ask(Sec_Fetch_Mode="cors")) == (401, "sign_in_required")

    @pytest.mark.parametrize("columns", [{"revoked_at": 0}, {"idle_expires_at": 0}])
    def test_the_browsers_session_must_live(
        self, files: Browser, alice: Caller, columns: dict[str, Any]
    ) -> None:
        change_session(files.app, alice.session_id, **dict.fromkeys(columns, now()))
        assert files.ask().status_code == 302

    def test_a_lost_role_counts_at_once(self, files: Browser, alice: Caller) -> None:
        give_roles(files.app, alice, "staff")
        change(files, allowed_roles=("staff",))
        assert files.ask().status_code == 200
        change_role(files.app, "staff", requires_mfa=True)
        assert code_of(files.ask(Sec_Fetch_Mode="cors")) == (403, "not_open")
        # Authorize tells a person why.
        assert files.ask().status_code == 302

    def test_a_session_below_the_need_is_none(self, files: Browser, alice: Caller) -> None:
        change_user(files.app, alice.id, mfa_enabled=True)
        assert code_of(files.ask(Sec_Fetch_Mode="cors")) == (401, "sign_in_required")
        change_user(files.app, alice.id, mfa_enabled=False)
        change(files, min_acr="aal2")
        assert files.ask().status_code == 302


def proxied_id(browser: Browser) -> Any:
    cookie = read_cookie(browser.cookies[APP])
    assert cookie is not None
    return cookie.session_id


def test_a_use_moves_the_limits_of_both_sessions_once_in_five_minutes(
    files: Browser, alice: Caller
) -> None:
    own = proxied_id(files)
    before = live_session_row(files.app, own)
    with time_machine.travel(now() + TOUCH_INTERVAL + timedelta(seconds=1), tick=False):
        with statements_of_sqlite() as sent:
            assert files.ask().status_code == 200
        assert sum(statement.startswith("UPDATE") for statement in sent) == 2
        with statements_of_sqlite() as sent:
            assert files.ask().status_code == 200
        assert len(sent) == 1
        row, parent = (
            live_session_row(files.app, own),
            live_session_row(files.app, alice.session_id),
        )
        assert row["last_used_at"] == parent["last_used_at"] == now()
        assert row["idle_expires_at"] - before["idle_expires_at"] >= TOUCH_INTERVAL
        assert row["expires_at"] == before["expires_at"]


def test_a_use_moves_the_idle_limit_by_the_time_of_the_application(files: Browser) -> None:
    change(files, refresh_idle_ttl=600)
    with time_machine.travel(now() + TOUCH_INTERVAL, tick=False):
        assert files.ask().status_code == 200
        row = live_session_row(files.app, proxied_id(files))
        assert row["idle_expires_at"] == now() + timedelta(seconds=600)


def test_refused_cookies_are_limited_and_good_ones_are_not(
    make_app: Any, files: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.app = make_app(features=("pages", "oidc", "forward-auth"), ratelimit_enabled=True)
    good = files.cookies[APP]
    for _ in range(300):
        files.cookies[APP] = "x"
        answer = files.ask(Sec_Fetch_Mode="cors")
    assert answer.status_code == 401
    assert code_of(files.ask(Sec_Fetch_Mode="cors")) == (429, "rate_limited")
    files.cookies[APP] = good
    assert files.ask().status_code == 200
    change(files, allowed_roles=("staff",))
    assert code_of(files.ask(Sec_Fetch_Mode="cors")) == (403, "not_open")
    del files.cookies[APP]
    assert files.ask(Sec_Fetch_Mode="cors").status_code == 401


def test_without_the_feature_there_is_nothing(make_app: Any) -> None:
    client = make_app(features=("pages", "oidc")).test_client()
    for path in ("/forward-auth", "/.authserve/callback", "/.authserve/sign-out"):
        assert client.get(path).status_code == 404


def test_every_outcome_is_counted(make_app: Any, files: Browser) -> None:
    files.app = make_app(features=("pages", "oidc", "forward-auth"), metrics_token=METRICS_TOKEN)
    assert files.ask().status_code == 200
    for _ in range(2):
        files.ask(X_Forwarded_Host="x")
    files.peer = "203.0.113.7"
    files.ask()
    files.peer, files.cookies = "127.0.0.1", {}
    files.ask()
    files.ask(Sec_Fetch_Mode="cors")
    found = scrape(files.app.test_client())
    counts = {
        outcome: found.value("authserve_forward_auth_total", outcome=outcome)
        for outcome in FORWARD_AUTHS
    }
    assert {outcome: count for outcome, count in counts.items() if count} == {
        "allowed": 1,
        "unknown_origin": 2,
        "foreign_peer": 1,
        "led_to_sign_in": 1,
        "signed_out": 1,
    }
