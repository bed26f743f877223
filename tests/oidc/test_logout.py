"""Sign-out that an app asks for.

The classes named after modules of the OpenID conformance suite replay what those send.
"""

from collections.abc import Callable
from datetime import timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import time_machine
from flask import Flask

from authserve.clients.kinds import ClientKind
from authserve.clients.registry import change_client, delete_client
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.clock import now
from authserve.oidc.logout_routes import MAX_QUERY_BYTES
from tests.conftest import Log
from tests.oidc.conftest import App, MakeApp, claims_of
from tests.oidc.test_hints import change_signature
from tests.oidc.test_refresh import is_alive
from tests.oidc.test_revoke import revoke
from tests.support.browsing import ORIGIN, OWN_FORM, Shown, Visit
from tests.support.clients import Caller
from tests.support.rows import audit_trail, change_session, live_session_row

BYE = "https://wiki.example.com/bye"

STATE = "a state, exactly: +&=%20"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with pages and the identity provider."""
    return make_app(features=("pages", "oidc"))


@pytest.fixture
def visit(app: Flask, alice: Caller) -> Visit:
    """Alice's browser, signed in."""
    visit = Visit(app)
    visit.sign_in("alice")
    return visit


@pytest.fixture
def wiki(make_client: MakeApp, visit: Visit) -> App:
    """An app that Alice uses in that browser."""
    wiki = make_client(post_logout_redirect_uris=(BYE, f"{BYE}?from=1"))
    wiki.browser_id = visit.session_id
    return wiki


def ask(visit: Visit, **fields: str | None) -> Shown:
    given = {name: value for name, value in fields.items() if value is not None}
    return visit.open(f"/oauth/logout?{urlencode(given)}")


def is_signed_in(visit: Visit) -> bool:
    return visit.open("/account").status == 200


def confirm(visit: Visit, shown: Shown) -> Shown:
    """Press the button of the page to which an answer leads."""
    assert urlsplit(shown.location).path == "/sign-out"
    return visit.give(visit.open(shown.location))


def is_left_signed_out(shown: Shown) -> bool:
    """Return True if a page says so and leads to no app."""
    return shown.title.startswith("You are signed out") and "example.com" not in shown.html


class TestRPInitiatedLogout:
    """`oidcc-rp-initiated-logout` and those with a good hint."""

    def test_its_app_signs_a_browser_out_at_once(self, visit: Visit, wiki: App) -> None:
        tokens = wiki.sign_in("openid")
        away = wiki.sign_in("openid", "offline_access")
        shown = ask(
            visit, id_token_hint=tokens["id_token"], post_logout_redirect_uri=BYE, state=STATE
        )
        place, _, told = shown.location.partition("?")
        assert (shown.status, place, parse_qs(told)) == (303, BYE, {"state": [STATE]})
        assert shown.headers["Referrer-Policy"] == "no-referrer"
        assert visit.cookie() is None
        assert not is_signed_in(visit)
        assert not is_alive(wiki, tokens)
        assert is_alive(wiki, away)
        reasons = [each["details"]["reason"] for each in audit_trail(wiki.app, "session.revoked")]
        assert reasons == ["logout", "logout"]

    def test_no_state(self, visit: Visit, wiki: App) -> None:
        hint = wiki.sign_in()["id_token"]
        shown = ask(visit, id_token_hint=hint, post_logout_redirect_uri=f"{BYE}?from=1")
        assert shown.location == f"{BYE}?from=1"

    def test_no_post_logout_redirect_uri(self, visit: Visit, wiki: App) -> None:
        shown = ask(visit, id_token_hint=wiki.sign_in()["id_token"], state=STATE)
        assert is_left_signed_out(visit.follow(shown))
        assert not is_signed_in(visit)

    @pytest.mark.parametrize(
        "uri",
        [
            "https://evil.example/",
            f"{BYE}?foo=bar",
            f"{BYE}/",
            f"{BYE}#x",
            BYE.upper(),
            f"{BYE}%2e",
            "https://wiki.example.com@evil.example/bye",
            "https://wiki.example.com\\@evil.example/bye",
            "javascript:alert(1)",
            "//wiki.example.com/bye",
        ],
    )
    def test_an_address_that_is_not_registered(self, visit: Visit, wiki: App, uri: str) -> None:
        """`-bad-post-logout-redirect-uri`, `-query-added-to-post-logout-redirect-uri`."""
        hint = wiki.sign_in()["id_token"]
        shown = ask(visit, id_token_hint=hint, post_logout_redirect_uri=uri, state=STATE)
        assert is_left_signed_out(visit.follow(shown))
        assert not is_signed_in(visit)

    def test_discovery(self, app: Flask) -> None:
        document = app.test_client().get("/.well-known/openid-configuration").get_json()
        assert document["end_session_endpoint"] == f"{ORIGIN}/oauth/logout"


class TestWithoutAGoodHint:
    """`-no-params`, `-only-state`, `-no-id-token-hint`, `-modified-…`, `-bad-id-token-hint`."""

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"state": STATE},
            {"post_logout_redirect_uri": BYE, "state": STATE},
            {"post_logout_redirect_uri": BYE, "client_id": "wiki"},
            {"post_logout_redirect_uri": BYE, "id_token_hint": "modified"},
            {"post_logout_redirect_uri": BYE, "id_token_hint": "a.b.c"},
            {"post_logout_redirect_uri": BYE, "id_token_hint": "good", "client_id": "other"},
        ],
    )
    def test_the_user_is_asked_and_stays_here(
        self, visit: Visit, wiki: App, fields: dict[str, str]
    ) -> None:
        tokens = wiki.sign_in()
        good = tokens["id_token"]
        hints = {"modified": change_signature(good), "good": good}
        if (hint := fields.get("id_token_hint")) in hints:
            fields = {**fields, "id_token_hint": hints[hint]}
        shown = ask(visit, **fields)
        page = visit.open(shown.location)
        assert page.title.startswith("Sign out")
        assert "continue" not in page.form()
        assert is_signed_in(visit)
        assert is_left_signed_out(confirm(visit, shown))
        assert not is_signed_in(visit)
        assert not is_alive(wiki, tokens)

    def test_a_stranger_changes_nothing(self, app: Flask, visit: Visit, wiki: App) -> None:
        other = Visit(app)
        assert is_left_signed_out(other.follow(ask(other, post_logout_redirect_uri=BYE)))
        assert is_signed_in(visit)


class TestHints:
    def test_after_the_app_has_revoked_its_tokens(self, visit: Visit, wiki: App) -> None:
        """mod_auth_openidc does so first."""
        tokens = wiki.sign_in()
        revoke(wiki, tokens["refresh_token"])
        shown = ask(visit, id_token_hint=tokens["id_token"], post_logout_redirect_uri=BYE)
        assert shown.location == BYE
        assert not is_signed_in(visit)

    def test_an_expired_one_is_good(
        self, clock: time_machine.Traveller, visit: Visit, wiki: App
    ) -> None:
        hint = wiki.sign_in()["id_token"]
        clock.shift(timedelta(hours=11))
        assert ask(visit, id_token_hint=hint, post_logout_redirect_uri=BYE).location == BYE
        assert not is_signed_in(visit)

    @pytest.mark.parametrize("state", [{"state": STATE}, {}])
    def test_one_of_another_browser_of_the_user(
        self, app: Flask, visit: Visit, wiki: App, state: dict[str, str]
    ) -> None:
        hint = wiki.sign_in()["id_token"]
        other = Visit(app)
        other.sign_in("alice")
        shown = ask(other, id_token_hint=hint, post_logout_redirect_uri=BYE, **state)
        assert is_signed_in(other)
        between = confirm(other, shown)
        # A form must end at a page of ours, which goes on by itself.
        assert "You are on the way to wiki.example.com" in between.text
        (link,) = [a.attrib["href"] for a in between.tree.iter("a") if a.text == "Continue"]
        assert f"0; url={link}" in [e.get("content") for e in between.tree.iter("meta")]
        back = other.open(link)
        assert back.location == (f"{BYE}?{urlencode(state)}" if state else BYE)
        assert not is_signed_in(other)
        assert is_signed_in(visit)

    def test_one_of_another_user_changes_nothing(
        self, app: Flask, visit: Visit, wiki: App, bob: Caller
    ) -> None:
        tokens = wiki.sign_in()
        other = Visit(app)
        other.sign_in("bob")
        shown = ask(other, id_token_hint=tokens["id_token"], post_logout_redirect_uri=BYE)
        assert is_signed_in(other)
        assert is_left_signed_out(confirm(other, shown))
        assert is_signed_in(visit)
        assert is_alive(wiki, tokens)

    def test_without_a_sign_in_it_ends_the_session_that_it_came_from(
        self, app: Flask, visit: Visit, wiki: App
    ) -> None:
        tokens = wiki.sign_in()
        other = Visit(app)
        hint = tokens["id_token"]
        assert ask(other, id_token_hint=hint, post_logout_redirect_uri=BYE).location == BYE
        assert not is_signed_in(visit)
        assert not is_alive(wiki, tokens)
        sid = claims_of(hint)["sid"]
        assert live_session_row(wiki.app, sid)["revoke_reason"] == "logout"
        # Nothing is left to end, and that is no fault.
        assert ask(other, id_token_hint=hint, post_logout_redirect_uri=BYE).location == BYE

    @pytest.mark.parametrize("change", ["disable", "delete", "unregister"])
    def test_its_client_has_to_be_one_still(self, visit: Visit, wiki: App, change: str) -> None:
        hint = wiki.sign_in()["id_token"]
        call = {"actor": OPERATOR, "request": RequestInfo()}
        with wiki.app.app_context():
            if change == "delete":
                delete_client("wiki", **call)  # type: ignore[arg-type]
            elif change == "disable":
                change_client("wiki", {"enabled": False}, **call)  # type: ignore[arg-type]
            else:
                gone = {"post_logout_redirect_uris": ()}
                change_client("wiki", gone, **call)  # type: ignore[arg-type]
        shown = ask(visit, id_token_hint=hint, post_logout_redirect_uri=BYE)
        assert is_left_signed_out(visit.follow(shown))
        assert not is_signed_in(visit)

    def test_a_loopback_port_may_differ(self, make_client: MakeApp, visit: Visit) -> None:
        cli = make_client(
            "cli",
            kind=ClientKind.NATIVE,
            redirect_uris=("http://127.0.0.1/cb", "https://wiki.example.com/callback"),
            post_logout_redirect_uris=("http://127.0.0.1/bye",),
        )
        cli.browser_id = visit.session_id
        hint = cli.sign_in("openid")["id_token"]
        uri = "http://127.0.0.1:4711/bye"
        assert ask(visit, id_token_hint=hint, post_logout_redirect_uri=uri).location == uri


class TestPageBetween:
    def way_back(self, app: Flask, wiki: App) -> tuple[Visit, str]:
        """Return another browser of Alice, and the token of its way back."""
        other = Visit(app)
        other.sign_in("alice")
        hint = wiki.sign_in()["id_token"]
        shown = ask(other, id_token_hint=hint, post_logout_redirect_uri=BYE)
        return other, parse_qs(urlsplit(shown.location).query)["continue"][0]

    def test_it_leads_nowhere_before_the_sign_out(
        self, app: Flask, visit: Visit, wiki: App
    ) -> None:
        other, token = self.way_back(app, wiki)
        for path in ("/oauth/logout", "/oauth/continue"):
            assert other.open(f"{path}?continue={token}").location.startswith("/sign-out?")
        assert is_signed_in(other)

    def test_the_address_is_looked_up_anew(self, app: Flask, visit: Visit, wiki: App) -> None:
        other, token = self.way_back(app, wiki)
        other.fill(f"/sign-out?continue={token}")
        with app.app_context():
            change_client(
                "wiki",
                {"post_logout_redirect_uris": ()},
                actor=OPERATOR,
                request=RequestInfo(),
            )
        assert other.open(f"/oauth/logout?continue={token}").location == "/signed-out"

    def test_it_grows_old(
        self, clock: time_machine.Traveller, app: Flask, visit: Visit, wiki: App
    ) -> None:
        other, token = self.way_back(app, wiki)
        clock.shift(timedelta(hours=2))
        assert is_left_signed_out(other.fill(f"/sign-out?continue={token}"))
        assert other.open(f"/oauth/logout?continue={token}").location == "/signed-out"

    @pytest.mark.parametrize("token", ["x", ""])
    def test_another_token_leads_nowhere(self, visit: Visit, token: str) -> None:
        shown = visit.open(f"/oauth/logout?continue={token}")
        assert shown.location in ("/signed-out", "/sign-out")


def test_a_cookie_of_a_session_that_has_ended_is_removed(visit: Visit, wiki: App) -> None:
    change_session(wiki.app, visit.session_id, revoked_at=now())
    assert urlsplit(ask(visit).location).path == "/sign-out"
    assert visit.cookie() is None


class TestForms:
    """An app's form comes from another origin, so browsers leave the cookie out."""

    def test_one_becomes_the_same_request_by_get(self, visit: Visit, wiki: App) -> None:
        hint = wiki.sign_in()["id_token"]
        fields = {"id_token_hint": hint, "post_logout_redirect_uri": BYE, "state": STATE}
        foreign = {"Origin": "https://wiki.example.com", "Sec-Fetch-Site": "cross-site"}
        sent = visit.send("/oauth/logout", {**fields, "more": "x"}, headers=foreign)
        assert (sent.status, sent.location) == (303, f"/oauth/logout?{urlencode(fields)}")
        assert sent.headers["Referrer-Policy"] == "no-referrer"
        assert is_signed_in(visit)
        assert visit.open(sent.location).location.startswith(BYE)

    def test_the_page_that_asks_takes_none(self, visit: Visit, wiki: App) -> None:
        tokens = wiki.sign_in()
        fields = visit.open("/sign-out").form("/sign-out")
        foreign: list[dict[str, str]] = [
            {},
            {"Origin": "null"},
            {"Origin": "https://wiki.example.com"},
            {**OWN_FORM, "Sec-Fetch-Site": "cross-site"},
        ]
        for headers in foreign:
            assert visit.send("/sign-out", fields, headers=headers).status == 403, headers
        assert is_signed_in(visit)
        assert is_alive(wiki, tokens)

    @pytest.mark.parametrize(
        "headers", [{}, {"Origin": "null"}, {"Origin": "https://evil.example"}]
    )
    def test_none_of_any_origin_signs_out_by_itself(
        self, visit: Visit, wiki: App, headers: dict[str, str]
    ) -> None:
        tokens = wiki.sign_in()
        sent = visit.send("/oauth/logout", {"id_token_hint": tokens["id_token"]}, headers=headers)
        assert (sent.status, "Set-Cookie" in sent.headers) == (303, False)
        assert is_signed_in(visit)
        assert is_alive(wiki, tokens)

    def test_one_that_fits_no_request_line_loses_its_way_back(self, visit: Visit, log: Log) -> None:
        room = MAX_QUERY_BYTES - len("id_token_hint=")
        sent = visit.send("/oauth/logout", {"id_token_hint": "x" * room}, headers={})
        assert sent.location == f"/oauth/logout?id_token_hint={'x' * room}"
        log()
        sent = visit.send("/oauth/logout", {"id_token_hint": "x" * (room + 1)}, headers={})
        assert sent.location == "/oauth/logout"
        assert [line.get("bytes") for line in log()] == [MAX_QUERY_BYTES + 1, None]

    def test_a_field_twice_is_refused(self, visit: Visit) -> None:
        assert visit.open("/oauth/logout?state=a&state=b").status == 400
        body = {"data": "state=a&state=b", "content_type": "application/x-www-form-urlencoded"}
        answer = visit.client.post("/oauth/logout", **body)  # type: ignore[arg-type]
        assert (answer.status_code, answer.get_json()["code"]) == (400, "malformed_request")
        assert is_signed_in(visit)


def test_the_page_to_sign_out_ends_the_same_sessions(visit: Visit, wiki: App) -> None:
    tokens, away = wiki.sign_in("openid"), wiki.sign_in("openid", "offline_access")
    visit.fill("/sign-out")
    assert not is_alive(wiki, tokens)
    assert is_alive(wiki, away)
