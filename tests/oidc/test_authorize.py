"""A browser's way through an app's request."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
import time_machine
from flask import Flask

from authserve.clients.refused_redirects import list_refused_redirects
from authserve.core.clock import now
from authserve.oidc.authorize_request import MAX_QUERY_BYTES
from authserve.oidc.redeem import make_challenge
from authserve.web.continuation import MAX_TOKEN_LENGTH
from tests.conftest import Log
from tests.oidc.conftest import CALLBACK, VERIFIER, App, MakeApp
from tests.oidc.test_codes import change
from tests.support.browsing import ORIGIN, OWN_FORM, Shown, Visit, find_unsafe_markup
from tests.support.clients import PASSWORD, Caller
from tests.support.factors import give_totp
from tests.support.rows import change_session, change_user
from tests.support.totp import code_at

STATE = "a state, exactly: +&=%20"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with pages and the identity provider."""
    return make_app(features=("pages", "oidc"))


@pytest.fixture
def visit(app: Flask) -> Visit:
    """A browser without a sign-in."""
    return Visit(app)


def query(**changes: str | None) -> str:
    given: dict[str, str | None] = {
        "client_id": "wiki",
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": "openid",
        "state": STATE,
        "nonce": "a nonce",
        "code_challenge": make_challenge(VERIFIER),
        "code_challenge_method": "S256",
        **changes,
    }
    return urlencode({name: value for name, value in given.items() if value is not None})


def ask(visit: Visit, **changes: str | None) -> Shown:
    return visit.open(f"/oauth/authorize?{query(**changes)}")


def answer_of(shown: Shown, address: str = CALLBACK) -> dict[str, str]:
    """Return what the app is told by the redirect."""
    assert shown.status == 303, shown.html
    place, _, told = shown.location.partition("?")
    assert place == address
    pairs = parse_qsl(told, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    assert dict(pairs)["iss"] == ORIGIN
    return dict(pairs)


def leave(visit: Visit, between: Shown) -> Shown:
    """Go on from the page that leaves by itself."""
    assert (between.status, between.headers["Referrer-Policy"]) == (200, "no-referrer")
    (content,) = [
        element.attrib["content"]
        for element in between.tree.iter("meta")
        if element.get("http-equiv") == "refresh"
    ]
    path = content.removeprefix("0; url=")
    assert path.startswith("/oauth/resume?continue=")
    assert f'href="{path}"' in between.html
    return visit.open(path)


def test_a_person_signs_in_to_an_app(visit: Visit, wiki: App) -> None:
    led = ask(visit)
    assert (led.status, urlsplit(led.location).path) == (303, "/sign-in")
    page = visit.open(led.location)
    assert "to continue to wiki.example.com" in page.text
    between = visit.sign_in_from(page)
    assert "wiki.example.com" in between.text
    told = answer_of(leave(visit, between))
    assert set(told) == {"code", "state", "iss"}
    assert told["state"] == STATE
    tokens = wiki.redeem(told["code"])
    assert tokens.status_code == 200
    assert wiki.userinfo(tokens.get_json()["access_token"]).status_code == 200


def test_a_signed_in_person_goes_on_at_once(visit: Visit, wiki: App) -> None:
    visit.sign_in()
    shown = ask(visit)
    assert set(answer_of(shown)) == {"code", "state", "iss"}
    assert shown.headers["Referrer-Policy"] == "no-referrer"
    assert shown.headers["Cache-Control"] == "no-store"
    # No GET changes the browser.
    assert "Set-Cookie" not in shown.headers


def test_a_session_that_has_ended_leads_to_the_sign_in(visit: Visit, wiki: App) -> None:
    visit.sign_in()
    change_session(wiki.app, visit.session_id, revoked_at=now())
    shown = ask(visit)
    assert urlsplit(shown.location).path == "/sign-in"
    assert visit.cookie() is None


def test_a_request_by_form_becomes_one_by_get(visit: Visit, wiki: App) -> None:
    """An app's page sends it from another origin, so browsers leave the cookie out."""
    visit.sign_in()
    fields = dict(parse_qsl(query()))
    sent = visit.send("/oauth/authorize", fields, headers={"Sec-Fetch-Site": "cross-site"})
    assert sent.location.startswith("/oauth/authorize?")
    assert sent.headers["Referrer-Policy"] == "no-referrer"
    assert "code" in answer_of(visit.open(sent.location))
    twice = visit.client.post(
        "/oauth/authorize?",
        data="state=a&state=b",
        headers=OWN_FORM,
        content_type="application/x-www-form-urlencoded",
    )
    assert twice.status_code == 400
    assert visit.client.post("/oauth/authorize", json={}).status_code == 400


class TestUntrusted:
    @pytest.mark.parametrize(
        "changes",
        [
            {"client_id": None},
            {"client_id": "unknown"},
            {"client_id": "Unknown\n"},
            {"redirect_uri": None},
            {"redirect_uri": "https://evil.example/<b>"},
            {"redirect_uri": f"{CALLBACK}/"},
        ],
    )
    def test_it_gets_a_page_and_no_redirect(
        self, visit: Visit, wiki: App, changes: dict[str, str | None]
    ) -> None:
        visit.sign_in()
        shown = ask(visit, **changes)
        assert (shown.status, shown.headers.get("Location")) == (400, None)
        assert "This app asked for something that cannot be done" in shown.text
        assert changes.get("redirect_uri") is None or str(changes["redirect_uri"]) in shown.text
        assert shown.headers["X-Correlation-ID"] in shown.text
        assert find_unsafe_markup(shown.html) == []

    def test_its_address_is_kept_for_the_operator(self, visit: Visit, wiki: App, log: Log) -> None:
        log()
        ask(visit, redirect_uri="https://evil.example/")
        (line,) = log()
        assert (line["route"], line["code"]) == ("/oauth/authorize", "invalid_request")
        ask(visit, redirect_uri=CALLBACK)
        with wiki.app.app_context():
            found = [refused.value for refused in list_refused_redirects("wiki")]
        assert found == ["https://evil.example/"]

    def test_a_disabled_client_is_unknown(self, visit: Visit, make_client: MakeApp) -> None:
        make_client(enabled=False)
        assert ask(visit).status == 400

    @pytest.mark.parametrize("more", ["&state=x", "&x=" + "a" * 1_800, "&x=%ff"])
    def test_an_ambiguous_query_is(self, visit: Visit, wiki: App, more: str) -> None:
        assert visit.open(f"/oauth/authorize?{query()}{more}").status == 400

    def test_the_longest_query_fits_into_its_token(self, visit: Visit, wiki: App) -> None:
        rest = MAX_QUERY_BYTES - len(query()) - len("&x=")
        longest = f"/oauth/authorize?{query()}&x={'a' * rest}"
        page = visit.open(visit.open(longest).location)
        assert len(page.form("/sign-in")["continue"]) <= MAX_TOKEN_LENGTH
        assert "code" in answer_of(leave(visit, visit.sign_in_from(page)))
        assert visit.open(f"{longest}a").status == 400
        fields = dict(parse_qsl(longest.partition("?")[2]))
        sent = visit.send("/oauth/authorize", fields, headers={})
        assert sent.location.startswith("/oauth/authorize?")
        form = {**fields, "x": f"{fields['x']}a"}
        assert visit.send("/oauth/authorize", form, headers={}).status == 400

    def test_a_token_of_another_kind_resumes_nothing(self, visit: Visit, wiki: App) -> None:
        page = visit.open(visit.open("/account").location)
        for token in (page.form("/sign-in")["continue"], "x", ""):
            assert visit.open(f"/oauth/resume?continue={token}").status == 400


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"response_type": "token"}, "unsupported_response_type"),
            ({"response_mode": "fragment"}, "invalid_request"),
            ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
            ({"code_challenge_method": "plain"}, "invalid_request"),
            ({"scope": "phone"}, "invalid_scope"),
            ({"request": "x"}, "request_not_supported"),
            ({"resource": "https://other.example"}, "invalid_target"),
            ({"prompt": "none"}, "login_required"),
            ({"prompt": "none login"}, "invalid_request"),
        ],
    )
    def test_the_app_is_told_with_state_and_issuer(
        self, visit: Visit, wiki: App, log: Log, changes: dict[str, str | None], code: str
    ) -> None:
        log()
        told = answer_of(ask(visit, **changes))
        assert (told["error"], told["state"]) == (code, STATE)
        assert told["error_description"]
        assert [line["code"] for line in log()] == [code]

    def test_without_a_state_none_is_sent(self, visit: Visit, wiki: App) -> None:
        assert "state" not in answer_of(ask(visit, state=None, prompt="none"))

    def test_no_other_site_may_read_the_answer(self, visit: Visit, wiki: App) -> None:
        shown = visit.open(
            f"/oauth/authorize?{query()}", headers={"Origin": "https://wiki.example.com"}
        )
        assert "Access-Control-Allow-Origin" not in shown.headers


class TestSteps:
    def test_login_and_max_age_0_ask_once(
        self, clock: time_machine.Traveller, visit: Visit, wiki: App
    ) -> None:
        visit.sign_in()
        clock.shift(60)
        led = ask(visit, prompt="login", max_age="0")
        assert urlsplit(led.location).path == "/account/confirm"
        clock.shift(60)
        between = visit.give(visit.open(led.location), password=PASSWORD)
        assert "code" in answer_of(leave(visit, between))

    def test_a_fresh_sign_in_is_enough(self, visit: Visit, wiki: App) -> None:
        page = visit.open(ask(visit, prompt="login", max_age="0").location)
        assert "code" in answer_of(leave(visit, visit.sign_in_from(page)))

    def test_another_account_is_chosen_at_the_sign_in(
        self, clock: time_machine.Traveller, visit: Visit, wiki: App, bob: Caller
    ) -> None:
        visit.sign_in()
        clock.shift(60)
        led = ask(visit, prompt="select_account")
        assert parse_qs(urlsplit(led.location).query, keep_blank_values=True)["switch"] == [""]
        between = visit.sign_in_from(visit.open(led.location), name="bob")
        tokens = wiki.redeem(answer_of(leave(visit, between))["code"])
        sub = wiki.userinfo(tokens.get_json()["access_token"]).get_json()["sub"]
        assert sub == str(bob.id)

    def test_the_expected_identifier_fills_the_field(self, visit: Visit, wiki: App) -> None:
        page = visit.open(ask(visit, login_hint='al"ice').location)
        assert page.form("/sign-in")["identifier"] == 'al"ice'

    def test_a_level_is_reached_on_the_way(
        self, clock: time_machine.Traveller, app: Flask, visit: Visit, make_client: MakeApp
    ) -> None:
        wiki = make_client(min_acr="aal2")
        visit.sign_in()
        secret = give_totp(app, wiki.user_id)
        change_user(app, wiki.user_id, mfa_enabled=False)
        led = ask(visit)
        assert "level=aal2" in led.location
        clock.shift(60)
        page = visit.open(led.location)
        between = visit.give(page, password=PASSWORD, code=code_at(secret, now()))
        assert "code" in answer_of(leave(visit, between))

    def test_a_way_back_is_of_one_session(
        self, clock: time_machine.Traveller, app: Flask, visit: Visit, wiki: App, bob: Caller
    ) -> None:
        visit.sign_in()
        clock.shift(60)
        led = ask(visit, prompt="login")
        other = Visit(app)
        other.sign_in("bob")
        shown = other.give(other.open(led.location), password=PASSWORD)
        assert "/oauth/resume" not in shown.html

    def test_after_an_hour_the_app_has_to_start_again(
        self, clock: time_machine.Traveller, visit: Visit, wiki: App
    ) -> None:
        page = visit.open(ask(visit).location)
        clock.shift(timedelta(hours=1, minutes=1))
        shown = visit.sign_in_from(page)
        assert "Open the app and start again." in shown.text
        assert "/oauth/resume" not in shown.html
        token = page.form("/sign-in")["continue"]
        late = visit.open(f"/oauth/resume?continue={token}")
        assert (late.status, "Open the app and start again." in late.text) == (400, True)

    def test_what_changed_meanwhile_is_decided_anew(
        self, visit: Visit, wiki: App, app: Flask
    ) -> None:
        page = visit.open(ask(visit).location)
        between = visit.sign_in_from(page)
        change(wiki, redirect_uris=("https://wiki.example.com/other",))
        assert leave(visit, between).status == 400


class TestClosed:
    def test_an_app_that_is_not_open_says_so(self, visit: Visit, make_client: MakeApp) -> None:
        make_client(allowed_roles=("staff",))
        visit.sign_in()
        shown = ask(visit)
        assert (shown.status, shown.headers["Referrer-Policy"]) == (403, "no-referrer")
        assert "Wiki is not open to you" in shown.text
        assert "Signed in as alice." in shown.text
        (back,) = [a.attrib["href"] for a in shown.tree.iter("a") if "Back to" in (a.text or "")]
        told = dict(parse_qsl(back.partition("?")[2]))
        assert back.startswith(f"{CALLBACK}?")
        assert told == {"error": "access_denied", "state": STATE, "iss": ORIGIN}
        assert answer_of(ask(visit, prompt="none"))["error"] == "access_denied"

    def test_a_level_out_of_reach_is_explained(self, visit: Visit, make_client: MakeApp) -> None:
        make_client(min_acr="phr")
        visit.sign_in()
        shown = ask(visit)
        assert (shown.status, "a second factor" in shown.text) == (403, True)
        told = answer_of(ask(visit, prompt="none"))
        assert told["error"] == "unmet_authentication_requirements"


def test_an_answer_by_form_sends_itself(visit: Visit, make_client: MakeApp) -> None:
    wiki = make_client(response_mode="form_post")
    visit.sign_in()
    shown = ask(visit)
    assert (shown.status, shown.headers["Referrer-Policy"]) == (200, "no-referrer")
    fields = shown.form(CALLBACK)
    assert fields["state"] == STATE
    assert fields["iss"] == ORIGIN
    assert "form-action" not in shown.headers["Content-Security-Policy"]
    assert "default-src 'none'" in shown.headers["Content-Security-Policy"]
    assert "data-sends-itself" in shown.html
    assert wiki.redeem(fields["code"]).status_code == 200
    refused = ask(visit, scope="phone")
    assert refused.form(CALLBACK)["error"] == "invalid_scope"


def test_a_query_of_the_address_stays(visit: Visit, make_client: MakeApp) -> None:
    address = f"{CALLBACK}?tenant=1"
    make_client(redirect_uris=(address,))
    visit.sign_in()
    told = answer_of(ask(visit, redirect_uri=address))
    assert told["tenant"] == "1"
    assert told["code"]


def test_the_provider_tells_where_to_begin(app: Flask) -> None:
    document: dict[str, Any] = app.test_client().get("/.well-known/openid-configuration").get_json()
    path = document["authorization_endpoint"].removeprefix(document["issuer"])
    assert path in {str(rule) for rule in app.url_map.iter_rules()}
